// Every architecture this library knows: one row each. Unknown ones are refused by name.
#pragma once

#include <span>
#include <string_view>

#include "format/checkpoint.h"
#include "models/heads.h"
#include "models/model.h"

namespace mlxe {

struct Architecture {
  const char* model_type;               // config.json's "model_type"
  const char* base_prefix;              // transformers' base_model_prefix: "bert" in bert.encoder.layer...
  Model (*make)(const Config& config);  // the encoder, without heads
  const char* proved_with;              // the checkpoint its parity was proved on (tests/models)
  // The class in "architectures" whose head is a SequenceClassifier, and that head. Null: it is not computed.
  const char* sequence_classification = nullptr;
  SequenceClassifier (*classifier)(const Config& config) = nullptr;
  // The class of the family's language model, whose answers score pairs (heads.h). Null: it is not computed.
  const char* language_model = nullptr;
  int64_t default_labels = 2;  // classes of a folder that states none
  // The same of a token classifier.
  const char* token_classification = nullptr;
  // The same of question answering, and the module of its last matrix.
  const char* question_answering = nullptr;
  const char* span_module = kSpanModule;
  // What the heads of tokens have before their last matrix; null: nothing.
  HeadTransform (*token_transform)(const Config& config) = nullptr;
  // The same of multiple choice.
  const char* multiple_choice = nullptr;
  SequenceClassifier (*chooser)(const Config& config) = nullptr;
  MaskedLanguageModel (*masked_head)(const Config& config) = nullptr;  // null: it is not computed
  // The matrix of BERT's pooler, if the files have it; null: the family has none.
  const char* pooler = kPoolerDense;
  // What the names of those classes begin with in folders of the family's authors, instead of as above; null: the same.
  const char* authors_classes = nullptr;
  std::span<const std::string_view> own_keys = {};  // keys that are refused elsewhere, and that `make` checks
  ModuleAlias alias = {};
};

std::span<const Architecture> architectures() noexcept;

// Errors: unsupported, listing what is known.
const Architecture& find_architecture(const Config& config);
// The same; the error also says which architecture is the nearest. Canonicalizes the checkpoint's names.
const Architecture& find_architecture(Checkpoint& checkpoint);

// The class of a Stanford ColBERT in "architectures", whose projection is the tensor of this module.
inline constexpr const char* kColbertLinear = "linear";

// Canonicalizes the checkpoint's names and makes the model its folder describes: the encoder, the pooler, and the head
// of a task or of a masked language model where their tensors are there. load_model adds the sentence
// pipeline. Every config key is accounted for: keys nothing uses are said through `warn`.
// Errors: unsupported (an architecture or a value), format (config.json contradicts itself).
Model make_model(Checkpoint& checkpoint, const Warning& warn);

}  // namespace mlxe
