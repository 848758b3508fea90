// The matrices that a model's output depends on, with their place in the run and their role. Derived from the
// model's plan: tensor names are not interpreted.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"

namespace mlxe::allocate {

// What a model's users read, and what allocations are judged by: text logits, token logits, or a vector a text.
Output output_of(const Model& model) noexcept;

// What a matrix does in the run.
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

// Matrices the output reads, in the order of the run, each once: where it is met first.
std::vector<TensorUse> trace(const Model& model, Output output);

}  // namespace mlxe::allocate
