#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>

#include "base/mapped_file.h"
#include "format/json_file.h"
#include "format/module_path.h"
#include "mlx_encoder/error.h"
#include "tokenizer/backend.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/vocabulary_files.h"

namespace mlxe {

using nlohmann::json;

struct Tokenizer::State {
  TokenizerBackend backend;
  std::string class_name = {};
  SpecialIds special = {};
  int32_t vocab_size = 0;
  int64_t model_max_length = 0;
  CutFrom cut_from = CutFrom::end;
  bool gives_type_ids = true;
  bool marks_subwords = false;
  bool pads_left = false;
  bool clean_up_spaces = false;
};

namespace {

// Sets Encoding::first of a text's windows. `cut`: the text that they are parts of, 0 or 1.
void number_tokens(std::vector<Encoding>& windows, int8_t cut, int32_t stride, CutFrom cut_from) {
  const auto size = [&](const Encoding& window) {
    return static_cast<int32_t>(std::ranges::count(window.sequence, cut));
  };
  const auto steps = static_cast<int32_t>(windows.size()) - 1;
  const int32_t step = size(windows.front()) - stride;
  const int32_t all = steps * step + size(windows.back());
  for (int32_t w = 0; w <= steps; ++w) {
    Encoding& window = windows[static_cast<size_t>(w)];
    window.first = cut_from == CutFrom::end ? w * step : all - w * step - size(window);
  }
}

std::string role_content(const SpecialTokenPlan& plan, const std::string& role) {
  const auto found =
      std::find_if(plan.roles.begin(), plan.roles.end(), [&](const auto& r) { return r.first == role; });
  return found == plan.roles.end() ? "" : found->second;
}

[[noreturn]] void no_tokenizer(const std::filesystem::path& folder, const TokenizerConfig& config) {
  for (const char* model :
       {"sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "vocab.txt", "vocab.json"})
    if (std::filesystem::exists(folder / model))
      throw Error(ErrorCode::unsupported,
                  folder.string() + ": found " + model + " without tokenizer.json, which " +
                      (config.class_name.empty() ? "its tokenizer" : config.class_name) +
                      " needs; load it once with transformers' AutoTokenizer and save_pretrained writes "
                      "tokenizer.json");
  throw Error(
      ErrorCode::not_found,
      folder.string() + ": no tokenizer; expected tokenizer.json, vocab.txt, or vocab.json and merges.txt");
}

// Builds a tokenizer from the vocabulary files of the class, without a post-processor.
TokenizerBackend from_vocabulary_files(const std::filesystem::path& folder, const TokenizerConfig& config,
                                       const std::string& unknown_token, const Warning& warning) {
  const auto made = [&](const json& tokenizer) {
    return TokenizerBackend(tokenizer.dump(), folder.string(), warning);
  };
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (config.family == TokenizerFamily::bert && has("vocab.txt"))
    return made(wordpiece_from_vocab(folder / "vocab.txt", config, unknown_token));
  if (config.family == TokenizerFamily::roberta && has("vocab.json") && has("merges.txt"))
    return made(byte_level_bpe_from_vocab(folder / "vocab.json", folder / "merges.txt", config));
  if (const auto file = sentencepiece_file(folder, config)) {
    const SentencePieceTokenizer read = read_sentencepiece(*file, config);
    TokenizerBackend backend = made(read.json);
    json tokens = json::array();
    for (const AddedToken& token : read.added) tokens.push_back(token.to_json());
    if (!tokens.empty()) backend.change({{"add_tokens", std::move(tokens)}});
    return backend;
  }
  no_tokenizer(folder, config);
}

// The token of a role, which a post-processor adds.
EdgeToken edge_token(const TokenizerBackend& backend, const SpecialTokenPlan& plan, const std::string& role) {
  const std::string content = role_content(plan, role);
  const auto id = backend.id(content);
  if (!id) throw Error(ErrorCode::format, "tokenizer_config.json: " + role + " is not set, expected a token");
  return {content, *id};
}

// Applies the settings with which a class overrides tokenizer.json.
void apply_settings(TokenizerBackend& backend, const TokenizerConfig& config, const SpecialTokenPlan& plan,
                    const json& description) {
  json change = json::object();
  json pre_tokenizer = description["pre_tokenizer"];
  if (pre_tokenizer.is_object() &&
      pre_tokenizer.value("add_prefix_space", config.add_prefix_space) != config.add_prefix_space) {
    pre_tokenizer["add_prefix_space"] = config.add_prefix_space;
    change["pre_tokenizer"] = std::move(pre_tokenizer);
  }
  if (config.family == TokenizerFamily::bert) {
    json normalizer = description["normalizer"];
    const json wanted = bert_normalizer(config);
    if (normalizer.is_object() && normalizer.value("type", "") == "BertNormalizer") {
      for (const char* key : {"lowercase", "strip_accents", "handle_chinese_chars"})
        normalizer[key] = wanted[key];
      change["normalizer"] = std::move(normalizer);
    }
  }
  if (config.family == TokenizerFamily::roberta) {
    json processor = description["post_processor"];
    if (processor.is_object()) {
      if (processor.contains("add_prefix_space")) processor["add_prefix_space"] = config.add_prefix_space;
      if (processor.contains("trim_offsets")) processor["trim_offsets"] = config.trim_offsets;
      change["post_processor"] = std::move(processor);
    }
  }
  if (config.family == TokenizerFamily::gemma) {
    const auto added = [&](bool adds, const char* role) {
      return adds ? std::optional(edge_token(backend, plan, role)) : std::nullopt;
    };
    change["post_processor"] = gemma_post_processor(added(config.add_bos_token, "bos_token"),
                                                    added(config.add_eos_token, "eos_token"));
  }
  if (config.family == TokenizerFamily::mbart || config.family == TokenizerFamily::mbart50) {
    const EdgeToken eos = edge_token(backend, plan, "eos_token");
    const auto id = backend.id(config.source_language);
    if (!id)
      throw Error(ErrorCode::format, "tokenizer_config.json: src_lang is " +
                                         printable(config.source_language) +
                                         ", expected a language that is a token of the vocabulary");
    const EdgeToken language{config.source_language, *id};
    change["post_processor"] = config.family == TokenizerFamily::mbart
                                   ? mbart_post_processor({}, {eos, language})
                                   : mbart_post_processor({language}, {eos});
  }
  if (config.split_special_tokens) change["split_special_tokens"] = true;
  if (!change.empty()) backend.change(change);
}

void add_post_processor(TokenizerBackend& backend, const TokenizerConfig& config,
                        const SpecialTokenPlan& plan) {
  if (config.family != TokenizerFamily::bert && config.family != TokenizerFamily::roberta) {
    const auto id = [&](const std::string& token) { return backend.id(token); };
    return backend.change({{"post_processor", sentencepiece_post_processor(config, id)}});
  }
  const EdgeToken cls = edge_token(backend, plan, "cls_token"), sep = edge_token(backend, plan, "sep_token");
  backend.change({{"post_processor", config.family == TokenizerFamily::bert
                                         ? bert_post_processor(cls, sep)
                                         : roberta_post_processor(cls, sep, config)}});
}

SpecialIds ids_of_roles(const TokenizerBackend& backend, const SpecialTokenPlan& plan) {
  const auto id = [&](const char* role) {
    const std::string content = role_content(plan, role);
    return content.empty() ? std::nullopt : backend.id(content);
  };
  return {.pad = id("pad_token"),
          .cls = id("cls_token"),
          .sep = id("sep_token"),
          .mask = id("mask_token"),
          .unk = id("unk_token"),
          .bos = id("bos_token"),
          .eos = id("eos_token")};
}

// PreTrainedTokenizerBase.clean_up_tokenization
std::string clean_up(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kReplacements{{{" .", "."},
                                                                                         {" ?", "?"},
                                                                                         {" !", "!"},
                                                                                         {" ,", ","},
                                                                                         {" ' ", "'"},
                                                                                         {" n't", "n't"},
                                                                                         {" 'm", "'m"},
                                                                                         {" 's", "'s"},
                                                                                         {" 've", "'ve"},
                                                                                         {" 're", "'re"}}};
  for (const auto& [from, to] : kReplacements)
    for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  return text;
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& model, const Warning& warning) {
  if (!std::filesystem::is_directory(model))
    throw Error(ErrorCode::not_found, model.string() + ": no such folder");
  const std::filesystem::path folder = model / transformer_path(model);
  const TokenizerConfig config = read_tokenizer_config(folder, warning);
  const std::filesystem::path file = folder / "tokenizer.json";
  const auto source =
      std::filesystem::exists(file) ? VocabularySource::tokenizer_json : VocabularySource::vocabulary_files;

  std::unique_ptr<State> state;
  if (source == VocabularySource::tokenizer_json) {
    const MappedFile mapped(file);
    const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
    state.reset(new State{.backend = TokenizerBackend(text, file.string(), warning)});
  } else {
    const SpecialTokenPlan plan = plan_special_tokens(config, source, json::object());
    state.reset(new State{
        .backend = from_vocabulary_files(folder, config, role_content(plan, "unk_token"), warning)});
  }

  TokenizerBackend& backend = state->backend;
  const json loaded = backend.describe();
  const SpecialTokenPlan plan = plan_special_tokens(config, source, loaded["added_tokens"]);
  if (!plan.to_add.empty()) {
    json tokens = json::array();
    for (const AddedToken& token : plan.to_add) tokens.push_back(token.to_json());
    backend.change({{"add_tokens", std::move(tokens)}});
  }
  if (source == VocabularySource::vocabulary_files) add_post_processor(backend, config, plan);
  apply_settings(backend, config, plan, backend.describe());

  state->class_name = config.class_name;
  state->special = ids_of_roles(backend, plan);
  state->vocab_size = backend.describe()["vocab_size"].get<int32_t>();
  state->model_max_length = config.model_max_length;
  const std::string stored_side = loaded["truncation_side"].is_string() ? loaded["truncation_side"] : "right";
  state->cut_from =
      config.truncation_side.value_or(stored_side) == "left" ? CutFrom::beginning : CutFrom::end;
  state->gives_type_ids = config.gives_type_ids;
  state->pads_left = config.settings.contains("padding_side") && config.settings["padding_side"] == "left";
  const bool built_bert =
      source == VocabularySource::vocabulary_files && config.family == TokenizerFamily::bert;
  state->marks_subwords = loaded["marks_subwords"];
  state->clean_up_spaces = config.clean_up_tokenization_spaces.value_or(built_bert);
  return Tokenizer(std::move(state));
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

void Tokenizer::lower_case_first() {
  const json lowercase{{"type", "Lowercase"}};
  const json normalizer = state_->backend.describe()["normalizer"];
  json steps = json::array();
  if (normalizer.is_object() && normalizer.value("type", "") == "Sequence") {
    steps = normalizer["normalizers"];
  } else if (!normalizer.is_null()) {
    steps.push_back(normalizer);
  }
  if (std::find(steps.begin(), steps.end(), lowercase) != steps.end()) return;
  steps.insert(steps.begin(), lowercase);
  state_->backend.change({{"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(steps)}}}});
}

Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return encode(text, std::nullopt, options);
}

Encoding Tokenizer::encode(std::string_view text, std::optional<std::string_view> pair,
                           const EncodeOptions& options) const {
  EncodeOptions of_one = options;
  of_one.stride.reset();
  return std::move(encode_windows(text, pair, of_one).front());
}

std::vector<Encoding> Tokenizer::encode_windows(std::string_view text, std::optional<std::string_view> pair,
                                                const EncodeOptions& options) const {
  std::vector<Encoding> windows = state_->backend.encode(text, pair, options, state_->cut_from);
  if (!state_->gives_type_ids)
    for (Encoding& window : windows) std::ranges::fill(window.type_ids, 0);
  if (options.stride)
    number_tokens(windows, options.truncation == Truncation::only_second ? 1 : 0,
                  static_cast<int32_t>(*options.stride), state_->cut_from);
  return windows;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  std::string text = state_->backend.decode(ids, special);
  return state_->clean_up_spaces ? clean_up(std::move(text)) : text;
}

std::string Tokenizer::tokenizer_json() const {
  return state_->backend.tokenizer_json();
}

std::optional<std::string> Tokenizer::find_token(int32_t id) const {
  return state_->backend.token(id);
}

std::string Tokenizer::token(int32_t id) const {
  if (auto token = find_token(id)) return *std::move(token);
  throw Error(ErrorCode::usage, "token id " + std::to_string(id) + " is not in the vocabulary of " +
                                    std::to_string(state_->vocab_size) + " tokens");
}

std::optional<int32_t> Tokenizer::id(std::string_view token) const {
  return state_->backend.id(token);
}
int32_t Tokenizer::vocab_size() const noexcept {
  return state_->vocab_size;
}
int64_t Tokenizer::model_max_length() const noexcept {
  return state_->model_max_length;
}
const SpecialIds& Tokenizer::special_ids() const noexcept {
  return state_->special;
}
bool Tokenizer::gives_type_ids() const noexcept {
  return state_->gives_type_ids;
}
bool Tokenizer::marks_subwords() const noexcept {
  return state_->marks_subwords;
}
bool Tokenizer::pads_left() const noexcept {
  return state_->pads_left;
}
const std::string& Tokenizer::class_name() const noexcept {
  return state_->class_name;
}

}  // namespace mlxe
