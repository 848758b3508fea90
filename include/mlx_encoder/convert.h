// Converting a model folder: quantizing it into MLX's format, casting it, or turning it back into floats.
//
// Plan, check, write, reopen and verify, rename: every problem that headers and config.json can show is found
// before the first byte is written, and the output folder appears complete or not at all. docs/convert.md.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class Layout {
  hf,              // Hugging Face's names, as the source has them
  mlx_embeddings,  // what Python's mlx-embeddings loads unchanged: encoder only, no prefix
};
Layout parse_layout(std::string_view spelling);  // "hf", "mlx-embeddings"; throws usage

enum class IfDone {
  skip,     // a folder that holds this very conversion is left as it is; any other is an error
  renew,    // that one too; any other model is replaced
  rewrite,  // whatever model is there is replaced
};

// How a matrix is rounded when texts are given. All write the same format.
enum class CalibrationMethod {
  automatic,  // gptq, or rtn where its measured error is smaller
  rtn,        // round to nearest
  mse,        // each group's scale and bias by a search; errors weighted by the squared activations
  gptq,       // the same, and each column's rounding error is compensated in the columns not yet rounded
};
CalibrationMethod parse_calibration_method(
    std::string_view spelling);  // "auto", "rtn", "mse", "gptq"; throws usage
const char* name(CalibrationMethod method) noexcept;

// A text of this project's own: about a thousand short and long ones in many styles, a sixth of it in some
// forty languages other than English, a third of it pairs.
std::vector<TextInput> default_calibration_texts();

// Whether the built-in text joins the texts given: texts of one narrow kind alone can make a model worse on
// all others.
enum class BuiltInText { mixed_in, left_out };

// Texts like those the model will see; docs/convert.md says how many. A pair is two texts for a model without
// classifier.
struct Calibration {
  std::vector<TextInput> texts;  // none: the built-in text alone, unless it is left out
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t limit = 0;  // texts to use, spread over all of them; 0: as many as fit the default number of tokens
  BuiltInText built_in = BuiltInText::mixed_in;
};

// What became of one matrix. Errors are relative: of a linear's outputs on the calibration texts (root of the
// mean square, against what the original model makes there), of a table's values.
struct TensorCalibration {
  std::string name;                   // as written
  std::string method;                 // "gptq", "mse" or "rtn"
  double plain_error = 0, error = 0;  // of rounding to nearest; of what was written
};

struct ConvertOptions {
  std::filesystem::path model;                 // the folder to read
  std::filesystem::path output = "mlx_model";  // the folder to write
  // How Linear and Embedding matrices are stored. Mode none only casts. scheme.dtype is also the dtype of all
  // that stays float, except in mode fake, which leaves it as the source has it.
  Scheme scheme{.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f16};
  std::vector<std::string> keep;       // patterns of tensors that stay float
  std::vector<std::string> overrides;  // "PATTERN=bits[:group]"
  // How matrices are stored that neither of these names, by canonical name ("encoder.layer.0.output.dense.
  // weight"); mode none is float. Solvers, presets and recipes make it (allocate.h).
  std::map<std::string, Scheme> allocation;
  // Affine schemes only. Unset: plain rounding, at every width (the program calibrates by itself below 8
  // bits; a library does not spend a minute nobody asked for).
  std::optional<Calibration> calibration;
  Layout layout = Layout::hf;
  uint64_t max_shard_size = 5'000'000'000;  // bytes of tensors a file holds before the next one is begun
  bool strict = false;                      // every warning is an error
  IfDone if_done = IfDone::skip;
  int threads = 0;  // 0: all cores
  Warning warning;
  Progress progress;  // stages "calibrating", in matrices, and "converting", in bytes of the source
};

// One tensor of the model as it will be stored; its scales and biases are counted with it.
struct PlannedTensor {
  std::string name;    // as written: "bert.encoder.layer.0.output.dense.weight"
  std::string source;  // as in the source file; empty for one synthesized for a loader (an identity pooler)
  Shape shape;         // logical: [out, in] whatever the packing
  std::string role;    // "linear", "embedding", "norm", ..., "unused" for what the model does not read
  Scheme scheme;
  uint64_t bytes = 0;  // codes, scales and biases
  std::string reason;  // why it is not stored in the scheme asked for; empty if it is
};

struct ConversionPlan {
  std::vector<PlannedTensor> tensors;                        // in the order of the files
  std::vector<std::pair<std::string, uint64_t>> files;       // the weight files and their exact sizes
  std::vector<std::pair<std::string, std::string>> dropped;  // source tensor, why it is not written
  uint64_t predicted_bytes = 0;                              // of the weight files, headers included
  uint64_t folder_bytes = 0;                                 // of everything in the folder
  uint64_t source_bytes = 0;                                 // of the source's weight files
  uint64_t parameters = 0;
  double bits_per_weight = 0;  // 8 * bytes of all tensors / parameters
  std::vector<std::string> warnings;
  std::vector<std::string> notes;  // what was done and needs no attention
};

// Reads headers and small files, and of float matrices as many rows as it takes to tell that they were never
// quantized: the first, as a rule. The warnings of the plan also go to options.warning.
// Errors: those of reading a folder; usage (options, patterns that match nothing, a scheme that fits no
// matrix though `keep` leaves some); format (all missing or misshapen tensors in one message); unsupported;
// strict.
ConversionPlan plan_conversion(const ConvertOptions& options);

struct Conversion {
  ConversionPlan plan;
  std::filesystem::path folder;
  uint64_t bytes = 0;                          // of the weight files on disk; equals plan.predicted_bytes
  bool skipped = false;                        // the folder held this conversion already
  std::vector<TensorCalibration> calibration;  // in the order of the run; empty without, or if skipped
};

// Memory: near the largest tensor. The same source and options give the same bytes of weights, index and
// config.json on every machine and number of threads.
// Errors: also usage (the output exists and is something else), io (full disk, ...), numeric (NaN, infinity
// or a value the dtype can't hold: names tensor and row).
Conversion convert(const ConvertOptions& options);

struct DequantizeOptions {
  std::filesystem::path model;
  std::filesystem::path output;
  // Of everything written; unset: what config.json says ("dtype"), else float16.
  std::optional<Dtype> dtype;
  uint64_t max_shard_size = 5'000'000'000;
  bool strict = false;
  IfDone if_done = IfDone::skip;
  int threads = 0;
  Warning warning;
  Progress progress;
};

// Writes the values a reader of the quantized model sees as plain floats, for tools that know no MLX.
Conversion dequantize_model(const DequantizeOptions& options);

}  // namespace mlxe
