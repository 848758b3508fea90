// Converts a ragged batch's token matrix [T, D] to padded blocks [B, L, D], and back.
//
// A batch is cut into chunks of whole texts with at most kSlots padded tokens. This bounds the memory of
// attention's score matrices (slots * L * H floats). A chunk of texts of equal length needs no padding and
// no mask: only reshapes.
#pragma once

#include <mlx/mlx.h>

#include <functional>
#include <optional>
#include <vector>

#include "models/batch.h"

namespace mlxe {

namespace mx = mlx::core;

class PaddedLayout {
 public:
  struct Chunk {
    int first_text, texts, first_token, tokens, length;  // length: L, of the longest text
    // Only if lengths differ:
    std::optional<mx::array> rows;   // [B * L] token row of each slot; padding repeats the text's first
    std::optional<mx::array> slots;  // [tokens] slot of each token row
    // Only if lengths differ, or not all tokens are read:
    std::optional<mx::array>
        mask;  // [B, 1, 1, L] true where a slot holds a token that attention reads (Batch::keys)
  };

  explicit PaddedLayout(const Batch& batch);

  const std::vector<Chunk>& chunks() const { return chunks_; }
  static mx::array pad(const mx::array& x, const Chunk& chunk);    // [T, D] -> [B, L, D]
  static mx::array unpad(const mx::array& x, const Chunk& chunk);  // [B, L, D] -> [tokens, D]

 private:
  std::vector<Chunk> chunks_;
};

}  // namespace mlxe
