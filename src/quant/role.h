// The role of a tensor in its model.
#pragma once

namespace mlxe {

// The conversion policy decides by role, never by name.
enum class Role {
  linear,                // [out, in]
  embedding,             // [rows, columns]: words, positions
  token_type_embedding,  // a handful of rows: stays float
  relative_bias,         // a row for each bucket of distances, a column for each head: stays float
  convolution,           // [out, in / groups, kernel]: stays float
  classifier,            // the last matrix before the logits: stays float
  norm,                  // layer norm scale or shift
  bias,
};

}  // namespace mlxe
