#include "tokenizer/backend.h"

#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

void take(Encoding& encoding, std::span<const MlxeToken> tokens) {
  encoding.ids.reserve(tokens.size());
  encoding.type_ids.reserve(tokens.size());
  encoding.offsets.reserve(tokens.size());
  encoding.code_point_offsets.reserve(tokens.size());
  encoding.sequence.reserve(tokens.size());
  encoding.word_ids.reserve(tokens.size());
  for (const MlxeToken& token : tokens) {
    encoding.ids.push_back(token.id);
    encoding.type_ids.push_back(token.type_id);
    encoding.offsets.emplace_back(token.byte_begin, token.byte_end);
    encoding.code_point_offsets.emplace_back(token.code_point_begin, token.code_point_end);
    encoding.sequence.push_back(static_cast<int8_t>(token.sequence));
    encoding.word_ids.push_back(token.word);
  }
}

}  // namespace

std::string lower_case(std::string_view text) {
  RustString lower, error;
  check_rust(mlxe_lower_case(text.data(), text.size(), lower.out(), error.out()), "", error);
  return lower.str();
}

void TokenizerBackend::Free::operator()(MlxeTokenizer* tokenizer) const noexcept {
  mlxe_tokenizer_free(tokenizer);
}

TokenizerBackend::TokenizerBackend(std::string_view json, const std::string& where, const Warning& warning)
    : where_(where + ": ") {
  RustString notes, error;
  MlxeTokenizer* tokenizer = nullptr;
  check_rust(mlxe_tokenizer_load(json.data(), json.size(), &tokenizer, notes.out(), error.out()), where_,
             error);
  tokenizer_.reset(tokenizer);
  if (!warning) return;
  for (std::string_view rest = notes.view(); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    warning(where_ + std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

nlohmann::json TokenizerBackend::describe() const {
  RustString text, error;
  check_rust(mlxe_tokenizer_describe(tokenizer_.get(), text.out(), error.out()), where_, error);
  return nlohmann::json::parse(text.view());
}

std::string TokenizerBackend::tokenizer_json() const {
  RustString text, error;
  check_rust(mlxe_tokenizer_json(tokenizer_.get(), text.out(), error.out()), where_, error);
  return text.str();
}

void TokenizerBackend::change(const nlohmann::json& change) {
  const std::string text = change.dump();
  RustString error;
  check_rust(mlxe_tokenizer_change(tokenizer_.get(), text.data(), text.size(), error.out()), where_, error);
}

std::vector<Encoding> TokenizerBackend::encode(std::string_view text, std::optional<std::string_view> pair,
                                               const EncodeOptions& options, CutFrom cut_from) const {
  if (options.max_length < 0) throw Error(ErrorCode::usage, "max_length is negative");
  if (options.stride.value_or(0) < 0)
    throw Error(ErrorCode::usage,
                "stride: found " + std::to_string(*options.stride) + ", expected at least 0");
  if (options.stride && options.truncation == Truncation::longest_first)
    throw Error(ErrorCode::usage, "windows are of one text; truncate only the first or only the second");
  const MlxeEncodeOptions rust_options{.add_special_tokens = options.add_special_tokens ? 1 : 0,
                                       .max_length = static_cast<size_t>(options.max_length),
                                       .strategy = static_cast<int>(options.truncation),
                                       .keep_end = cut_from == CutFrom::beginning ? 1 : 0,
                                       .stride = options.stride.value_or(-1)};
  const char* second = !pair ? nullptr : pair->data() == nullptr ? "" : pair->data();
  MlxeTokens tokens{};
  RustString error;
  check_rust(mlxe_tokenizer_encode(tokenizer_.get(), text.data(), text.size(), second,
                                   pair ? pair->size() : 0, rust_options, &tokens, error.out()),
             "", error);
  const std::unique_ptr<MlxeTokens, void (*)(MlxeTokens*)> owner(&tokens,
                                                                 [](MlxeTokens* t) { mlxe_free_tokens(*t); });

  std::vector<Encoding> windows(1);
  const std::span all(tokens.data, tokens.size);
  for (size_t first = 0; first < all.size();) {
    size_t past = first;
    while (past < all.size() && all[past].window == all[first].window) ++past;
    if (first > 0) windows.emplace_back();
    take(windows.back(), all.subspan(first, past - first));
    first = past;
  }
  Encoding& only = windows.front();
  only.truncated = tokens.dropped > 0;
  only.dropped_tokens = static_cast<int32_t>(tokens.dropped);
  only.dropped_more = tokens.at_least != 0;
  return windows;
}

std::string TokenizerBackend::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  for (const int32_t id : ids)
    if (id < 0) throw Error(ErrorCode::usage, "token id " + std::to_string(id) + " is negative");
  RustString text, error;
  check_rust(
      mlxe_tokenizer_decode(tokenizer_.get(), reinterpret_cast<const uint32_t*>(ids.data()), ids.size(),
                            special == SpecialTokens::skip ? 1 : 0, text.out(), error.out()),
      where_, error);
  return text.str();
}

std::optional<int32_t> TokenizerBackend::id(std::string_view token) const {
  const int64_t id = mlxe_tokenizer_id(tokenizer_.get(), token.data(), token.size());
  if (id < 0 || id > INT32_MAX) return std::nullopt;
  return static_cast<int32_t>(id);
}

std::optional<std::string> TokenizerBackend::token(int32_t id) const {
  RustString text;
  if (id < 0 || mlxe_tokenizer_token(tokenizer_.get(), static_cast<uint32_t>(id), text.out()) == 0)
    return std::nullopt;
  return text.str();
}

}  // namespace mlxe
