#include "verify/golden.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mapped_file.h"
#include "format/config.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

constexpr int kGoldenVersion = 1;
constexpr std::array kOutputNames{"sentence",      "logits",       "token_scores",  "span_logits",
                                  "choice_logits", "term_weights", "token_vectors", "all_vectors"};
constexpr size_t kMostTextsOfAConversion = 13;  // eight named prompts
constexpr size_t kMostTexts = 10'000, kMostValues = 1 << 20;

constexpr const char* kLongText =
    "The library on the corner opened in 1932, two years late and well over its budget. Its reading room has "
    "tall windows, forty-two oak desks and a clock that has been wrong for as long as anyone can remember. "
    "In "
    "winter people come to keep warm; in summer they come because the stone walls keep the heat out. Most of "
    "them do read something: newspapers, timetables, the occasional novel. A few bring work with them, and "
    "one "
    "man, it is said, wrote an entire history of bridges at the desk beside the radiator.";

std::string quoted_json(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string numbers(const std::vector<float>& values) {
  std::string text;
  for (const float v : values) text += fmt::format("{}{: .5e}", text.empty() ? "" : ",", v);
  return "[" + text + "]";
}

[[noreturn]] void no_golden(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::format,
              fmt::format("{}: {}; docs/verify.md describes the form of a golden", where, what));
}

std::vector<float> read_values(const Config& entry, const char* key) {
  const json& list = entry.json().at(key);
  if (!list.is_array() || list.empty() || list.size() > kMostValues)
    no_golden(entry.where(),
              fmt::format("\"{}\" is {}, expected a list of 1 to {} numbers", key, shown(list), kMostValues));
  std::vector<float> values;
  values.reserve(list.size());
  for (const json& v : list) {
    const double value = v.is_number() ? v.get<double>() : NAN;
    if (!(std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max())))
      no_golden(entry.where(), fmt::format("value {} of \"{}\" is {}, expected a finite number",
                                           values.size(), key, shown(v)));
    values.push_back(static_cast<float>(value));
  }
  return values;
}

void warn_of_unused(const Config& object, const Warning& warn) {
  if (!warn) return;
  for (const std::string& key : object.unused_keys())
    warn(fmt::format("{}: the key {} is not known and was ignored", object.where(), printable(key)));
}

GoldenText read_text(const Config& entry, const Warning& warn) {
  GoldenText text;
  text.input.text = entry.get<std::string>("text");
  if (entry.has("pair")) text.input.pair = entry.get<std::string>("pair");
  text.prompt_name = entry.get_or<std::string>("prompt_name", "");
  if (!entry.has("values")) no_golden(entry.where(), "\"values\" is missing");
  text.values = read_values(entry, "values");
  if (entry.has("original")) text.original = read_values(entry, "original");
  entry.harmless({"pair", "values", "original"});
  warn_of_unused(entry, warn);
  return text;
}

GoldenTolerance read_tolerance(const Config& root, const Warning& warn) {
  GoldenTolerance tolerance;
  root.harmless({"tolerance"});
  if (!root.has("tolerance")) return tolerance;
  const Config object = root.object("tolerance");
  if (object.has("difference")) tolerance.difference = object.non_negative_number("difference");
  if (object.has("cosine")) tolerance.cosine = object.get<double>("cosine");
  if (tolerance.cosine && std::abs(*tolerance.cosine) > 1)
    no_golden(object.where(), fmt::format("\"cosine\" is {}, expected -1 to 1", *tolerance.cosine));
  warn_of_unused(object, warn);
  return tolerance;
}

GoldenOutput read_output(const Config& root) {
  const auto spelling = root.get<std::string>("output");
  for (size_t i = 0; i < kOutputNames.size(); ++i)
    if (spelling == kOutputNames[i]) return static_cast<GoldenOutput>(i);
  no_golden(root.where(), fmt::format("\"output\" is {}, expected one of {}", printable(spelling),
                                      fmt::join(kOutputNames, ", ")));
}

void require_one_width(const Golden& golden, const std::string& where) {
  for (size_t i = 0; i < golden.texts.size(); ++i) {
    const GoldenText& text = golden.texts[i];
    for (const auto& [key, values] :
         {std::pair("values", &text.values), std::pair("original", &text.original)})
      if (!values->empty() && values->size() != golden.width())
        no_golden(where, fmt::format("text {}: \"{}\" has {} numbers, those of the first text {}", i + 1, key,
                                     values->size(), golden.width()));
  }
}

}  // namespace

const char* name(GoldenOutput output) noexcept {
  return kOutputNames[static_cast<size_t>(output)];
}

bool is_vector(GoldenOutput output) noexcept {
  return output == GoldenOutput::sentence || output >= GoldenOutput::term_weights;
}

std::string Golden::text() const {
  std::string limits;
  for (const auto& [key, value] :
       {std::pair("difference", tolerance.difference), std::pair("cosine", tolerance.cosine)})
    if (value) limits += fmt::format("{}\"{}\": {}", limits.empty() ? "" : ", ", key, *value);
  std::string out = fmt::format("{{\n\"version\": {},\n\"made_by\": {},\n\"output\": \"{}\",\n",
                                kGoldenVersion, quoted_json(made_by), name(output));
  if (!limits.empty()) out += fmt::format("\"tolerance\": {{{}}},\n", limits);
  if (!record.empty()) out += fmt::format("\"record\": {},\n", quoted_json(record));
  if (!settings.empty())
    out += fmt::format("\"settings\": {},\n",
                       json(settings).dump(-1, ' ', false, json::error_handler_t::replace));
  out += "\"texts\": [";
  for (size_t i = 0; i < texts.size(); ++i) {
    const GoldenText& t = texts[i];
    out += fmt::format("{}\n {{\"text\": {}", i == 0 ? "" : ",", quoted_json(t.input.text));
    if (t.input.pair) out += fmt::format(", \"pair\": {}", quoted_json(*t.input.pair));
    if (!t.prompt_name.empty()) out += fmt::format(", \"prompt_name\": {}", quoted_json(t.prompt_name));
    out += ",\n  \"values\": " + numbers(t.values);
    if (!t.original.empty()) out += ",\n  \"original\": " + numbers(t.original);
    out += "}";
  }
  return out + "\n]\n}\n";
}

Golden Golden::parse(std::string_view text, const std::string& where, const Warning& warn) {
  const json object = parse_json(text, where);
  if (!object.is_object()) no_golden(where, fmt::format("found {}, expected an object", shown(object)));
  const Config root(object, where);
  for (const char* key : {"version", "output", "texts"})
    if (!root.has(key)) no_golden(where, fmt::format("\"{}\" is missing", key));
  if (const auto version = root.get<int64_t>("version"); version != kGoldenVersion)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: \"version\" is {}, expected {}; another version of mlx-encoder wrote it",
                            where, version, kGoldenVersion));
  Golden golden{.made_by = root.get_or<std::string>("made_by", ""),
                .output = read_output(root),
                .tolerance = read_tolerance(root, warn),
                .record = root.get_or<std::string>("record", ""),
                .settings = {},
                .texts = {}};
  root.harmless({"settings", "texts"});
  if (root.has("settings")) {
    const Config settings = root.object("settings");
    for (const auto& [key, value] : settings.json().items())
      golden.settings[key] = settings.get<std::string>(key);
  }
  const json& texts = root.json().at("texts");
  if (!texts.is_array() || texts.empty() || texts.size() > kMostTexts)
    no_golden(where,
              fmt::format("\"texts\" is {}, expected a list of 1 to {} texts", shown(texts), kMostTexts));
  for (size_t i = 0; i < texts.size(); ++i)
    golden.texts.push_back(read_text(Config(texts[i], fmt::format("{}: text {}", where, i + 1)), warn));
  require_one_width(golden, where);
  warn_of_unused(root, warn);
  return golden;
}

Golden Golden::read(const std::filesystem::path& file, const Warning& warn) {
  const MappedFile mapped(file);
  return parse({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file.string(),
               warn);
}

std::vector<GoldenText> golden_texts(GoldenOutput output, const std::map<std::string, std::string>& prompts) {
  std::vector<GoldenText> texts;
  const auto add = [&](const char* text, std::optional<std::string> pair = {}, std::string prompt = {}) {
    texts.push_back(
        {.input = {text, std::move(pair)}, .prompt_name = std::move(prompt), .values = {}, .original = {}});
  };
  for (const char* text :
       {"The sky is blue.", "How do I reset my password?", "Größe, naïve café — 5 €: ½ of it!",
        "東京は日本の首都です。 Москва — столица России. 🚀", kLongText})
    add(text);
  if (output == GoldenOutput::logits || output == GoldenOutput::choice_logits)
    add("A man plays the guitar on a stage.", "Somebody is making music.");
  if (output == GoldenOutput::span_logits) add("When did the library open?", kLongText);
  if (output == GoldenOutput::token_scores) add("The European Union has offices in Brussels and Luxembourg.");
  if (!is_vector(output)) return texts;
  for (const auto& [prompt, text] : prompts) {
    if (texts.size() == kMostTextsOfAConversion) break;
    add("The sky is blue.", std::nullopt, prompt);
  }
  return texts;
}

}  // namespace mlxe
