// The error at a model's output if one matrix is stored in fewer bits, for each matrix. docs/mixed.md.
//
//   mlxe::Sensitivity s = mlxe::measure_sensitivity({.model = "all-MiniLM-L6-v2", .texts = texts});
//   for (const auto& t : s.tensors) ...
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct SensitivityOptions {
  std::filesystem::path model;
  std::vector<TextInput> texts;             // without a classifier, a pair counts as two texts
  std::vector<int> bits{2, 3, 4, 5, 6, 8};  // of affine, each once
  int group_size = 64;                      // if it does not divide a row: the next smaller one
  Dtype dtype = Dtype::f16;                 // of scales and biases
  int64_t most_tokens = 3072;               // texts are spread over all given, up to this many tokens
  int threads = 0;                          // 0: all cores
  Warning warning;
  Progress progress;  // stage "measuring"
};

// One matrix rounded to nearest at one width; all other tensors are the original's.
struct WidthCost {
  int bits = 0, group_size = 0;
  uint64_t bytes = 0;             // codes, scales and biases
  double cost = 0;                // in Sensitivity::metric
  double flips = 0;               // share of changed labels, 0 to 1
  double cost_per_mib_saved = 0;  // against the matrix as floats of `dtype`
};

struct TensorSensitivity {
  std::string name;          // canonical: "encoder.layer.0.output.dense.weight"
  std::string part;          // "table", "query", "key", "value", "attention_out", "up", "down", "head"
  std::optional<int> layer;  // from 0; the first of those that share the matrix
  Shape shape;
  std::vector<WidthCost> widths;  // in the order of SensitivityOptions::bits
};

// The cost of all matrices at one width together, and the sum of their single costs. If both are near each
// other, costs are additive.
struct WholeCost {
  int bits = 0;
  uint64_t bytes = 0;
  double sum = 0, cost = 0, flips = 0;
};

struct Sensitivity {
  std::string metric;   // "1 - cosine", "KL divergence" or "squared difference": the mean over rows
  std::string rows;     // what a row is: "texts" or "tokens"
  bool labels = false;  // whether the output has labels, so that flips are defined
  int64_t texts = 0, tokens = 0;
  std::vector<TensorSensitivity> tensors;  // in the order of the run
  std::vector<WholeCost> wholes;           // one for each width
  std::vector<std::string> not_read;       // matrices that the output does not depend on
  // Indices into `tensors`, sorted by cost per byte saved at `order_bits`, largest first.
  std::vector<size_t> order;
  int order_bits = 0;
};

// Runs the cpu engine with float32 activations. The figures do not depend on the number of threads.
// Errors: those of reading a folder; usage (bits, group size, too few texts), numeric.
Sensitivity measure_sensitivity(const SensitivityOptions& options);

std::string to_json(const Sensitivity& sensitivity);  // docs/json/sensitivity.md
// A chart of cost against layer at width `order_bits`, one line for each part of a layer.
std::string to_svg(const Sensitivity& sensitivity);

}  // namespace mlxe
