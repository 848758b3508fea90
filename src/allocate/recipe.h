// mlx_encoder_recipe.json: an allocation, the model and target it was made for, and its measured cost.
//
//   {"version": 1, "tool": "mlx-encoder 0.1.0", "target": "--target-size 12MB", "request": "<sha256>",
//    "source": {"model.safetensors": "<sha256>"}, "layout": "hf",
//    "scheme": {"bits": 4, "group_size": 64, "dtype": "float16"},
//    "calibration": {"method": "auto", "limit": 0, "texts": "<sha256>", "held_out_every": 3,
//                     "built_in_text": true} or null,
//    "tensors": [{"name": "encoder.layer.0.output.dense.weight", "shape": [384, 1536], "bits": 4,
//                 "group_size": 64}, ...],
//    "measured": {...}}
//
// No paths and no times, as in mlx_encoder.json.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/convert.h"

namespace mlxe::allocate {

inline constexpr size_t kHeldOutEvery = 3;  // the last of every three given texts is held out

struct RecipeTensor {
  std::string name;  // canonical
  Shape shape;
  Scheme scheme;
};

struct RecipeCalibration {
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t limit = 0;
  std::string texts;          // SHA-256 of the texts it ran on
  size_t held_out_every = 0;  // 0: it ran on all given texts
  BuiltInText built_in = BuiltInText::left_out;
};

struct Recipe {
  std::string target, request;
  std::map<std::string, std::string> source;  // weight file -> SHA-256
  Layout layout = Layout::hf;
  Scheme scheme;
  std::optional<RecipeCalibration> calibration;
  std::vector<RecipeTensor> tensors;
  nlohmann::json measured;

  std::string text() const;
  // Errors: not_found, io, format.
  static Recipe read(const std::filesystem::path& file);
  std::map<std::string, Scheme> allocation() const;
};

// What apply_recipe (mlx_encoder/allocate.h) does, with a recipe that was read from `file` before: a pipe can
// be read only once.
void apply(const Recipe& recipe, const std::filesystem::path& file, ConvertOptions& options);

// Some of the given texts, and their numbers among all, for messages; no numbers: 1, 2, ...
struct NumberedTexts {
  std::vector<TextInput> texts;
  std::vector<size_t> numbers;
};

// Holds out the last of every `every` texts, to measure the result on; 0: none.
struct Split {
  NumberedTexts fitted, held_out;
};
Split split(std::vector<TextInput> texts, size_t every);

}  // namespace mlxe::allocate
