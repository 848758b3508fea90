// The tokens by which a language model answers whether a document is relevant to a query.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace mlxe {

struct AnswerTokens {
  int64_t yes = 0;
  std::optional<int64_t> no;  // none: the logit of `yes` alone is the score
  bool assumed = false;       // no file says that the model is a reranker

  bool operator==(const AnswerTokens&) const = default;
};

// As sentence-transformers' CrossEncoder finds them for the folder of a language model: those of the LogitScore in
// modules.json; without a modules.json, the tokens "yes" and "no" of the vocabulary. None: modules.json has another
// module (an embedder), or the vocabulary lacks such a token. Errors: io, format (a damaged file, an id that is no id).
std::optional<AnswerTokens> find_answer_tokens(const std::filesystem::path& folder);

}  // namespace mlxe
