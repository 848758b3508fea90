// Mirrors transformers/models/roberta/modeling_roberta.py and xlm_roberta (the same computation): BERT whose
// positions start after the padding id.
#pragma once

#include <vector>

#include "models/bert.h"

namespace mlxe {

class Roberta : public Bert {
 public:
  Roberta(const BertConfig& config, int32_t pad_token_id) : Bert(config), pad_(pad_token_id) {}

  // create_position_ids_from_input_ids: counts tokens that are not the padding id, so a literal "<pad>" in a
  // text gets the padding position itself.
  template <EncoderOps E>
  typename E::Tensor embed(E& e, const Batch& batch) const {
    std::vector<int32_t> positions(batch.ids.size());
    for (int64_t b = 0; b < batch.texts(); ++b) {
      int32_t seen = 0;
      for (int32_t t = batch.offsets[b]; t < batch.offsets[b + 1]; ++t)
        positions[t] = batch.ids[t] == pad_ ? pad_ : ++seen + pad_;
    }
    return embed_at(e, batch, positions);
  }

  int64_t max_tokens() const { return Bert::max_tokens() - pad_ - 1; }

 private:
  int32_t pad_;
};

}  // namespace mlxe
