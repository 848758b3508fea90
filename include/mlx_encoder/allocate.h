// Mixed precision: how many bits each matrix gets, chosen for a target, by a preset, or replayed from a
// recipe. docs/mixed.md.
//
//   mlxe::ConvertOptions options{.model = "all-MiniLM-L6-v2", .output = "small"};
//   mlxe::convert_to_target(options, mlxe::parse_target(mlxe::TargetKind::size, "12MB"), texts);
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlx_encoder/convert.h"

namespace mlxe {

enum class TargetKind {
  size,            // bytes of the weight files, at most
  bits,            // bits a weight, all tensors counted, at most
  cosine,          // mean cosine of sentence vectors to the original's, at least
  relative_error,  // of sentence vectors (VectorSpace), at most
  flips,           // share of labels that differ from the original's, at most
};

struct Target {
  TargetKind kind = TargetKind::size;
  double value = 0;  // bytes; bits a weight; cosine; share, 0 to 1
  std::string text;  // as the user wrote it: "45MB"
};
const char* option_of(TargetKind kind) noexcept;  // "--target-size", ...
// "45MB", "43 MiB", "900kB"; "4.5"; "0.995"; "1%" or "0.01". Throws usage.
Target parse_target(TargetKind kind, std::string_view text);

// The output error of a converted folder, on texts that were not used to choose its allocation.
struct HeldOut {
  std::string metric;  // "1 - cosine", "KL divergence", "squared difference": mean over rows
  double cost = 0;
  double relative_error = 0;  // of sentence vectors: cost / (1 - mean cosine of different texts)
  double flips = 0;           // share of changed labels; 0 where the output has none
  bool labels = false;
  int64_t rows = 0;  // texts, or tokens of a token classifier
};

struct Trial {
  uint64_t bytes = 0;    // of the weight files
  double bits = 0;       // a weight
  double predicted = 0;  // cost by the sum of its matrices' costs
  HeldOut measured;
};

struct TargetedConversion {
  Conversion conversion;
  Target target;
  Trial chosen;
  std::vector<Trial> trials;  // every allocation that was converted, in this order; one is the chosen one
  // The same allocation with round-to-nearest, on the texts of the cost measurement: the sum of the matrices'
  // costs, and the cost of all matrices together.
  double rtn_sum = 0, rtn_together = 0;
  bool one_width = false;  // one width for all measured better than the allocation chosen by the sum
  int64_t texts = 0, held_out_texts = 0;  // sequences run to measure costs; to measure the result
};

// discard: the conversion is made and measured, but the folder never gets its name.
enum class Outcome { commit, discard };

// Converts to a target:
//   1. measures each matrix's cost at each width on two thirds of `texts`;
//   2. chooses the cheapest allocation that meets the target (a knapsack over bytes and costs);
//   3. converts, and measures the folder on the last third before the folder gets its name.
// For cosine, relative_error and flips, steps 2 and 3 are repeated with several allocations. A classifier
// that is converted to a size is also measured with one width for all matrices, the widest that fits; that
// allocation is taken if it costs less.
//
// `texts` empty: uses the texts of options.calibration; calibration then gets the first two thirds only.
// options.scheme gives the dtype; options.keep and overrides are obeyed. options.progress reports one
// stage, "finding bits". The folder also gets mlx_encoder_recipe.json and mlx_encoder_pareto.svg. A folder
// that holds this very conversion is left as it is. Errors: those of convert(); usage (a target that can't
// be met, with the nearest value reached; too few texts).
TargetedConversion convert_to_target(const ConvertOptions& options, const Target& target,
                                     std::vector<TextInput> texts, Outcome outcome = Outcome::commit);

// Sets options.scheme, layout and allocation from a recipe, and removes the texts that the recipe held out
// from options.calibration. Other weights of the same shapes, and another calibration, are warnings.
// Errors: not_found, io; format (malformed; of another model: names the tensor); usage (together with keep,
// overrides or a dtype).
void apply_recipe(const std::filesystem::path& file, ConvertOptions& options);

// "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6", "mixed_4_8": sets options.scheme.bits to the lower
// width, and options.allocation of the matrices that gain most to the higher width. Throws usage.
void apply_preset(std::string_view preset, ConvertOptions& options);

}  // namespace mlxe
