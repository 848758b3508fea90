// What storing each matrix of a model in fewer bits costs at the model's output. docs/mixed.md.
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
  std::vector<TextInput> texts;             // a pair is two texts for a model without classifier
  std::vector<int> bits{2, 3, 4, 5, 6, 8};  // of affine, each once
  int group_size = 64;                      // the next smaller one where it does not divide a row
  Dtype dtype = Dtype::f16;                 // of scales and biases
  int64_t most_tokens = 3072;               // texts spread over all given, until they hold this many
  int threads = 0;                          // 0: all cores
  Warning warning;
  Progress progress;  // stage "measuring"
};

// One matrix plainly rounded to one width, everything else the original's.
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
  std::optional<int> layer;  // from 0
  Shape shape;
  std::vector<WidthCost> widths;  // in the order of SensitivityOptions::bits
};

// All matrices at one width together, beside the sum of what each cost alone: how well costs add up.
struct WholeCost {
  int bits = 0;
  uint64_t bytes = 0;
  double sum = 0, cost = 0, flips = 0;
};

struct Sensitivity {
  std::string metric;   // "1 - cosine", "KL divergence" or "squared difference": the mean over rows
  std::string rows;     // what a row is: "texts" or "tokens"
  bool labels = false;  // whether flips mean anything
  int64_t texts = 0, tokens = 0;
  std::vector<TensorSensitivity> tensors;  // in the order of the run
  std::vector<WholeCost> wholes;           // one a width
  std::vector<std::string> not_read;       // matrices the output does not depend on
  std::vector<size_t> order;  // of tensors: what gains most from more bits first, by cost per byte saved at
  int order_bits = 0;         // this width
};

// Float32 activations on the cpu engine. The same figures for any number of threads.
// Errors: those of reading a folder; usage (bits, group size, too few texts), numeric.
Sensitivity measure_sensitivity(const SensitivityOptions& options);

std::string to_json(const Sensitivity& sensitivity);  // docs/json/sensitivity.md
// Cost against the layer, a line a part of the layer, at width `order_bits`.
std::string to_svg(const Sensitivity& sensitivity);

}  // namespace mlxe
