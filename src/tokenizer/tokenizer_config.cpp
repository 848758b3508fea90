#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

struct KnownClass {
  const char* name;
  TokenizerFamily family;
  bool gives_type_ids;     // the class's model_input_names
  const char* model_type;  // of config.json, for folders that name no class
};

constexpr std::array kKnownClasses{
    KnownClass{"BertTokenizer", TokenizerFamily::bert, true, "bert"},
    KnownClass{"DistilBertTokenizer", TokenizerFamily::bert, false, "distilbert"},
    KnownClass{"ElectraTokenizer", TokenizerFamily::bert, true, "electra"},
    KnownClass{"MobileBertTokenizer", TokenizerFamily::bert, true, "mobilebert"},
    KnownClass{"RobertaTokenizer", TokenizerFamily::roberta, false, "roberta"},
    KnownClass{"BartTokenizer", TokenizerFamily::roberta, false, "bart"},
    KnownClass{"MBartTokenizer", TokenizerFamily::mbart, false, "mbart"},
    KnownClass{"MBart50Tokenizer", TokenizerFamily::mbart50, false, ""},
    KnownClass{"XLMRobertaTokenizer", TokenizerFamily::xlm_roberta, false, "xlm-roberta"},
    KnownClass{"CamembertTokenizer", TokenizerFamily::camembert, false, "camembert"},
    KnownClass{"AlbertTokenizer", TokenizerFamily::albert, true, "albert"},
    KnownClass{"MPNetTokenizer", TokenizerFamily::generic, false, "mpnet"},
    KnownClass{"DebertaTokenizer", TokenizerFamily::generic, true, "deberta"},
    KnownClass{"DebertaV2Tokenizer", TokenizerFamily::deberta_v2, true, "deberta-v2"},
    KnownClass{"Qwen2Tokenizer", TokenizerFamily::generic, false, "qwen3"},
    KnownClass{"T5Tokenizer", TokenizerFamily::t5, false, "t5"},
    KnownClass{"GemmaTokenizer", TokenizerFamily::gemma, false, "gemma3_text"},
    KnownClass{"PreTrainedTokenizer", TokenizerFamily::generic, true, ""},
    KnownClass{"TokenizersBackend", TokenizerFamily::generic, true, ""},  // its name since transformers 5
};

json read_object(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return json::object();
  json value = read_json(file);
  if (!value.is_object())
    throw Error(ErrorCode::format, file.string() + ": found " + shown(value) + ", expected a JSON object");
  return value;
}

[[noreturn]] void bad_setting(const std::string& key, const json& value, const char* expected) {
  throw Error(ErrorCode::format,
              "tokenizer_config.json: " + key + " is " + shown(value) + ", expected " + expected);
}

// The setting's value; nullopt if it is absent or null.
std::optional<bool> flag(const json& settings, const char* key) {
  const auto found = settings.find(key);
  if (found == settings.end() || found->is_null()) return std::nullopt;
  if (!found->is_boolean()) bad_setting(key, *found, "true or false");
  return found->get<bool>();
}

std::optional<std::string> text(const json& settings, const char* key) {
  const auto found = settings.find(key);
  if (found == settings.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) bad_setting(key, *found, "a string");
  return found->get<std::string>();
}

// A whole number from 0 to 10,000.
int64_t count(const json& settings, const char* key, int64_t otherwise) {
  const auto found = settings.find(key);
  if (found == settings.end() || found->is_null()) return otherwise;
  if (!found->is_number_integer() || *found < 0 || *found > 10000)
    bad_setting(key, *found, "a whole number from 0 to 10,000");
  return found->get<int64_t>();
}

// transformers writes 10^30 for "no limit".
int64_t model_max_length(const json& settings) {
  for (const char* key : {"model_max_length", "max_len"}) {
    const auto found = settings.find(key);
    if (found == settings.end() || found->is_null()) continue;
    if (!found->is_number()) bad_setting(key, *found, "a number");
    const double length = found->get<double>();
    return length >= 1 && length <= INT32_MAX ? static_cast<int64_t>(length) : 0;
  }
  return 0;
}

bool lists_type_ids(const json& settings, bool by_class) {
  const auto names = settings.find("model_input_names");
  if (names == settings.end() || names->is_null()) return by_class;
  if (!names->is_array()) bad_setting("model_input_names", *names, "a list of names");
  return std::find(names->begin(), names->end(), "token_type_ids") != names->end();
}

std::string without_fast(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

// The class that AutoTokenizer would use: that of tokenizer_config.json, else of config.json, else of its
// model_type.
std::string class_name(const json& settings, const std::filesystem::path& folder) {
  if (const auto named = text(settings, "tokenizer_class")) return without_fast(*named);
  const json config = read_object(folder / "config.json");
  if (const auto named = config.find("tokenizer_class"); named != config.end() && named->is_string())
    return without_fast(named->get<std::string>());
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return "";
  for (const KnownClass& known : kKnownClasses)
    if (*type == known.model_type) return known.name;
  return "";
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder, const Warning& warning) {
  TokenizerConfig config;
  config.settings = read_object(folder / "tokenizer_config.json");
  config.special_tokens_map = read_object(folder / "special_tokens_map.json");
  config.added_tokens = read_object(folder / "added_tokens.json");
  const json& settings = config.settings;

  config.class_name = class_name(settings, folder);
  const auto known = std::find_if(kKnownClasses.begin(), kKnownClasses.end(),
                                  [&](const KnownClass& k) { return k.name == config.class_name; });
  if (known != kKnownClasses.end()) {
    config.family = known->family;
  } else if (warning) {
    warning(config.class_name.empty()
                ? folder.string() + ": no file names a tokenizer class; the tokenizer is used as it stands"
                : "tokenizer_config.json: tokenizer_class " + printable(config.class_name) +
                      " is not known; the tokenizer is used as it stands");
  }
  if (warning && settings.contains("fast_tokenizer_files"))
    warning("tokenizer_config.json: fast_tokenizer_files is not honoured; tokenizer.json is read");

  config.do_lower_case =
      flag(settings, "do_lower_case").value_or(config.family != TokenizerFamily::deberta_v2);
  config.strip_accents = flag(settings, "strip_accents");
  config.tokenize_chinese_chars = flag(settings, "tokenize_chinese_chars").value_or(true);
  config.add_prefix_space = flag(settings, "add_prefix_space").value_or(config.family == TokenizerFamily::t5);
  config.keep_accents = flag(settings, "keep_accents").value_or(false);
  config.split_by_punct = flag(settings, "split_by_punct").value_or(false);
  config.legacy = flag(settings, "legacy").value_or(true);
  config.extra_ids = count(settings, "extra_ids", config.extra_ids);
  config.trim_offsets = flag(settings, "trim_offsets").value_or(true);
  config.split_special_tokens = flag(settings, "split_special_tokens").value_or(false);
  config.add_bos_token = flag(settings, "add_bos_token").value_or(true);
  config.add_eos_token = flag(settings, "add_eos_token").value_or(false);
  config.source_language = text(settings, "src_lang").value_or("en_XX");
  config.clean_up_tokenization_spaces = flag(settings, "clean_up_tokenization_spaces");
  config.truncation_side = text(settings, "truncation_side");
  if (config.truncation_side && config.truncation_side != "left" && config.truncation_side != "right")
    bad_setting("truncation_side", settings["truncation_side"], "\"left\" or \"right\"");
  config.model_max_length = model_max_length(settings);
  config.gives_type_ids = lists_type_ids(settings, known == kKnownClasses.end() || known->gives_type_ids);
  return config;
}

}  // namespace mlxe
