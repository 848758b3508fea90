// The heads of masked language models: how each family names and stores them.
#pragma once

#include <optional>

#include "format/checkpoint.h"
#include "models/heads.h"

namespace mlxe {

MaskedLanguageModel bert_masked_head(const Config& config);
MaskedLanguageModel mobilebert_masked_head(const Config& config);
MaskedLanguageModel roberta_masked_head(const Config& config);  // and MPNet's
MaskedLanguageModel distilbert_masked_head(const Config& config);
MaskedLanguageModel albert_masked_head(const Config& config);
MaskedLanguageModel electra_masked_head(const Config& config);
MaskedLanguageModel modernbert_masked_head(const Config& config);
MaskedLanguageModel deberta_masked_head(const Config& config);  // of both versions
MaskedLanguageModel eurobert_masked_head(const Config& config);
MaskedLanguageModel nomic_bert_masked_head(const Config& config);
MaskedLanguageModel gte_masked_head(const Config& config);  // and NewModel's

// The head with the names under which the checkpoint has it. None if the checkpoint does not have it; warns if it has a
// part of it.
std::optional<MaskedLanguageModel> stored_masked_head(MaskedLanguageModel head, const Checkpoint& checkpoint,
                                                      const Warning& warn);

}  // namespace mlxe
