#include "allocate/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/sha256.h"
#include "base/whole_file.h"
#include "calibrate/calibration_texts.h"
#include "convert/plan_digest.h"
#include "convert/prepared_conversion.h"
#include "convert/written_config.h"
#include "format/json_file.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace fs = std::filesystem;

namespace allocate {
namespace {

using nlohmann::json;
constexpr int kVersionOfFile = 1;
constexpr int kFloatBits = 16;  // means float, as in --set

const char* spelling(Layout layout) {
  return layout == Layout::hf ? "hf" : "mlx-embeddings";
}

json scheme_json(const Scheme& scheme) {
  if (scheme.mode == Mode::none) return {{"bits", kFloatBits}};
  return {{"bits", scheme.bits}, {"group_size", scheme.group_size}};
}

Scheme scheme_from(const json& object, Dtype dtype) {
  const int bits = object.at("bits").get<int>();
  if (bits == kFloatBits) return {.dtype = dtype};
  const Scheme scheme{Mode::affine, bits, object.at("group_size").get<int>(), dtype};
  validate(scheme);
  return scheme;
}

Recipe from_json(const json& object) {
  Recipe r;
  const Dtype dtype = parse_dtype(object.at("scheme").at("dtype").get<std::string>());
  r.scheme = scheme_from(object.at("scheme"), dtype);
  r.target = object.at("target").get<std::string>();
  r.request = object.at("request").get<std::string>();
  r.source = object.at("source").get<std::map<std::string, std::string>>();
  r.layout = parse_layout(object.at("layout").get<std::string>());
  if (const json& c = object.at("calibration"); !c.is_null())
    r.calibration = {.method = parse_calibration_method(c.at("method").get<std::string>()),
                     .limit = c.at("limit").get<size_t>(),
                     .texts = c.at("texts").get<std::string>(),
                     .held_out_every = c.at("held_out_every").get<size_t>(),
                     .built_in = c.value("built_in_text", false)
                                     ? BuiltInText::mixed_in  // absent in recipes of 0.1.0
                                     : BuiltInText::left_out};
  for (const json& t : object.at("tensors"))
    r.tensors.push_back({t.at("name").get<std::string>(), t.at("shape").get<Shape>(), scheme_from(t, dtype)});
  r.measured = object.at("measured");
  return r;
}

}  // namespace

std::string Recipe::text() const {
  json list = json::array();
  for (const RecipeTensor& t : tensors) {
    json entry = scheme_json(t.scheme);
    entry["name"] = t.name;
    entry["shape"] = t.shape;
    list.push_back(std::move(entry));
  }
  json global = scheme_json(scheme);
  global["dtype"] = to_string(Scheme{.dtype = scheme.dtype});
  json object{{"version", kVersionOfFile}, {"tool", std::string("mlx-encoder ") + kVersion},
              {"target", target},          {"request", request},
              {"source", source},          {"layout", spelling(layout)},
              {"scheme", global},          {"calibration", nullptr},
              {"tensors", list},           {"measured", measured}};
  if (calibration)
    object["calibration"] = {{"method", name(calibration->method)},
                             {"limit", calibration->limit},
                             {"texts", calibration->texts},
                             {"held_out_every", calibration->held_out_every},
                             {"built_in_text", calibration->built_in == BuiltInText::mixed_in}};
  return pretty(object);
}

Recipe Recipe::read(const fs::path& file) {
  const json object = parse_json(read_whole_file(file, kMaxJsonBytes), file.string());
  const auto malformed = [&](const std::string& why) {
    return Error(ErrorCode::format, fmt::format("{}: {}; expected a recipe as mlx-encoder writes it "
                                                "(docs/mixed.md)",
                                                file.string(), why));
  };
  if (!object.is_object() || !object.contains("version")) throw malformed("has no \"version\"");
  if (object["version"] != kVersionOfFile)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: found version {}, expected {}; another version of mlx-encoder made it",
                            file.string(), shown(object["version"]), kVersionOfFile));
  for (const char* key : {"target", "request", "source", "layout", "scheme", "tensors", "measured"})
    if (!object.contains(key)) throw malformed(fmt::format("has no \"{}\"", key));
  try {
    return from_json(object);
  } catch (const json::exception&) {
    throw malformed("a value is missing or of another type");
  } catch (const Error& e) {
    throw malformed(e.what());
  }
}

std::map<std::string, Scheme> Recipe::allocation() const {
  std::map<std::string, Scheme> allocation;
  for (const RecipeTensor& t : tensors) allocation[t.name] = t.scheme;
  return allocation;
}

Split split(std::vector<TextInput> texts, size_t every) {
  if (every == 0) return {.fitted = {std::move(texts), {}}, .held_out = {}};
  Split result;
  for (size_t i = 0; i < texts.size(); ++i) {
    NumberedTexts& part = i % every == every - 1 ? result.held_out : result.fitted;
    part.texts.push_back(std::move(texts[i]));
    part.numbers.push_back(i + 1);
  }
  return result;
}

}  // namespace allocate

namespace {

using allocate::Recipe;
using allocate::RecipeTensor;

// The recipe must have exactly the matrices of the model that can be quantized.
void check_fits(const Recipe& recipe, const ConvertOptions& options, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::format, fmt::format("{}: {}; it was made for another model than {}", where, what,
                                               options.model.string()));
  };
  ConvertOptions plain = options;
  plain.allocation = {};
  plain.calibration = {};
  const PreparedConversion prepared = prepare(plain);
  std::map<std::string, const RecipeTensor*> left;
  for (const RecipeTensor& t : recipe.tensors) left[t.name] = &t;
  for (size_t i = 0; i < prepared.plan().tensors.size(); ++i) {
    const PlannedTensor& planned = prepared.plan().tensors[i];
    const std::string& canonical = prepared.weights().tensors[i].source.name;
    const auto it = left.find(canonical);
    if (it == left.end()) {
      if (planned.scheme.mode != Mode::none) fail(canonical + " is not in it");
      continue;
    }
    if (it->second->shape != planned.shape)
      fail(fmt::format("{} is {} in the recipe, {} in the model", it->first, to_string(it->second->shape),
                       to_string(planned.shape)));
    left.erase(it);
  }
  if (!left.empty()) fail(left.begin()->first + " is not in the model");
}

}  // namespace

void apply_recipe(const fs::path& file, ConvertOptions& options) {
  allocate::apply(Recipe::read(file), file, options);
}

void allocate::apply(const Recipe& recipe, const fs::path& file, ConvertOptions& options) {
  if (!options.keep.empty() || !options.overrides.empty())
    throw Error(ErrorCode::usage, fmt::format("--recipe {}: it says how every matrix is stored; leave --keep "
                                              "and --set out",
                                              file.string()));
  options.scheme = recipe.scheme;
  options.layout = recipe.layout;
  check_fits(recipe, options, file.string());
  options.allocation = recipe.allocation();

  const auto warn = [&](const std::string& sentence) {
    const std::string whole = file.string() + ": " + sentence;
    if (options.strict) throw Error(ErrorCode::strict, whole + " (an error under --strict)");
    if (options.warning) options.warning(whole);
  };
  for (const auto& [weights, sha] : recipe.source)
    if (!fs::exists(options.model / weights) || sha256_hex(options.model / weights) != sha) {
      warn(fmt::format("it was made for weights other than {}: its figures do not hold for them",
                       (options.model / weights).string()));
      break;
    }
  if (recipe.calibration.has_value() != options.calibration.has_value())
    warn(recipe.calibration ? "it was made with calibration, and --calibrate is not given: the matrices are "
                              "rounded to nearest, and its figures do not hold"
                            : "it was made without calibration: its figures do not hold for this conversion");
  if (!recipe.calibration || !options.calibration) return;
  options.calibration = calibrate::with_default_texts(std::move(*options.calibration));
  options.calibration->texts =
      allocate::split(std::move(options.calibration->texts), recipe.calibration->held_out_every).fitted.texts;
  if (hash_of(options.calibration->texts) != recipe.calibration->texts ||
      options.calibration->method != recipe.calibration->method ||
      options.calibration->limit != recipe.calibration->limit ||
      options.calibration->built_in != recipe.calibration->built_in)
    warn("it was made with another calibration (other texts, method or limit): the bytes will differ");
}

}  // namespace mlxe
