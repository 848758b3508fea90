// The matrices that a model's output depends on, with their place in the run and their role. Derived from the
// model's plan: tensor names are not interpreted.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"

namespace mlxe::allocate {

// The output that users read: text logits, token logits, or a vector for each text. Allocations are judged by its
// error.
Output output_of(const Model& model) noexcept;

// The role of a matrix in the run.
enum class MatrixRole { table, query, key, value, attention_out, up, gate, down, head, projection };
// "table", "query", ..., "attention_out", "up", "gate", "down", "head", "projection".
const char* name(MatrixRole role) noexcept;

struct TensorUse {
  std::string name;  // canonical: "encoder.layer.0.output.dense.weight"
  Shape shape;       // [out, in]
  Role role = Role::linear;
  MatrixRole matrix = MatrixRole::head;
  int stage = 0;  // 0: embeddings; 1 to L: layers; L + 1: heads
};

// Matrices of the checkpoint that the output depends on, in the order of their first use, each once.
std::vector<TensorUse> trace(const Model& model, Output output);

}  // namespace mlxe::allocate
