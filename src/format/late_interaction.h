// Late interaction (ColBERT): a vector for each token, and the settings that its texts need. Three layouts are read:
//   PyLate's    config_sentence_transformers.json beside modules.json: a Transformer and Dense modules
//   Stanford's  config.json of class HF_ColBERT, "linear.weight" among the encoder's tensors, artifact.metadata
//   bge-m3's    colbert_linear.pt (format/m3_heads.h)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/config.h"

namespace mlxe {

struct LateInteraction {
  // What is put after the first token of a text: a token of the vocabulary; empty: nothing.
  std::string query_prefix = "[Q] ", document_prefix = "[D] ";
  // Most tokens, with special ones and the prefix; 0: as many as texts have in general.
  int64_t query_length = 32, document_length = 180;
  bool expands_queries = true;        // to query_length, with mask tokens
  bool attends_to_expansion = false;  // whether attention reads those
  // Tokens of a document that get no vector. ASCII's punctuation if the folder says nothing.
  std::vector<std::string> skipped_words;
  bool skips_first = false;  // whether the first token of a text has no vector
  bool averages = false;     // whether a score is the mean over the query's tokens, not the sum

  bool tells_queries_apart() const noexcept { return query_prefix != document_prefix || expands_queries; }
};

// Settings of a folder with neither file. PyLate's defaults.
LateInteraction default_late_interaction();

// Of bge-m3, as FlagEmbedding computes it: queries are documents.
LateInteraction m3_late_interaction();

// Of config_sentence_transformers.json. Errors: format.
LateInteraction read_pylate_settings(const Config& config);

inline constexpr const char* kStanfordFile = "artifact.metadata";

// Of artifact.metadata; without the file (null): Stanford's prefixes and PyLate's other defaults. Errors: format.
LateInteraction read_stanford_settings(const Config* metadata);

}  // namespace mlxe
