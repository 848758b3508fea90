#include "format/answer_tokens.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "format/config.h"
#include "format/json_file.h"
#include "format/module_path.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kYes = "yes";
constexpr const char* kNo = "no";

// The ids of the two words. Nothing else of the vocabulary is kept: it has 150,000 tokens.
nlohmann::json vocabulary_ids(const fs::path& file, std::string_view folder_of_words) {
  const int outer = folder_of_words.empty() ? 0 : 2;  // objects around the vocabulary
  const auto keep = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event != nlohmann::json::parse_event_t::key) return true;
    const auto& name = parsed.get_ref<const std::string&>();
    if (depth == outer + 1) return name == kYes || name == kNo;
    return depth == 1 ? name == "model" : depth != 2 || name == folder_of_words;
  };
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  require_json_depth(text, file.string());
  const nlohmann::json found = nlohmann::json::parse(text, keep, false);
  if (outer == 0) return found;
  return found.is_object() ? found.value(nlohmann::json::json_pointer("/model/vocab"), nlohmann::json())
                           : nlohmann::json();
}

std::optional<AnswerTokens> words_of_vocabulary(const fs::path& folder) {
  const fs::path tokenizer = folder / "tokenizer.json", vocabulary = folder / "vocab.json";
  nlohmann::json ids;
  if (fs::exists(tokenizer))
    ids = vocabulary_ids(tokenizer, "vocab");
  else if (fs::exists(vocabulary))
    ids = vocabulary_ids(vocabulary, "");
  const auto id = [&](const char* word) -> std::optional<int64_t> {
    if (!ids.is_object() || !ids.contains(word) || !ids[word].is_number_unsigned()) return std::nullopt;
    return ids[word].get<int64_t>();
  };
  const auto yes = id(kYes), no = id(kNo);
  if (!yes || !no) return std::nullopt;
  return AnswerTokens{.yes = *yes, .no = *no, .assumed = true};
}

int64_t token_id(const Config& config, std::string_view key) {
  const auto id = config.get<int64_t>(key);
  if (id < 0 || id >= kMaxConfigSize)
    throw Error(ErrorCode::format,
                fmt::format("{}: \"{}\" is {}, expected a token's id", config.where(), key, id));
  return id;
}

}  // namespace

std::optional<AnswerTokens> find_answer_tokens(const fs::path& folder) {
  const fs::path list = folder / "modules.json";
  if (!fs::exists(list)) return words_of_vocabulary(folder);
  const std::optional<fs::path> module = logit_score_folder(folder);
  if (!module) return std::nullopt;
  const Config config = Config::read(folder / *module / "config.json");
  AnswerTokens tokens{.yes = token_id(config, "true_token_id"), .no = {}};
  if (config.has("false_token_id")) tokens.no = token_id(config, "false_token_id");
  config.harmless({"false_token_id"});  // null: none
  config.reject_unless("module_input_name", {"causal_logits"}, "only the logits of the model are compared");
  if (const auto unknown = config.unused_keys(); !unknown.empty())
    throw Error(ErrorCode::unsupported, fmt::format("{}: \"{}\" is not known", config.where(), unknown[0]));
  return tokens;
}

}  // namespace mlxe
