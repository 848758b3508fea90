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

#include "mlx_encoder/calibration.h"
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
  skip,     // a folder that holds this very conversion is left as it is; any other folder is an error
  renew,    // a folder that holds this very conversion is left as it is; any other model is replaced
  rewrite,  // any model is replaced, this very conversion too
};

struct ConvertOptions {
  std::filesystem::path model;                 // the folder to read
  std::filesystem::path output = "mlx_model";  // the folder to write
  // How Linear and Embedding matrices are stored. Mode none only casts. Tensors that stay float have
  // scheme.dtype, except in mode fake, which leaves their dtype unchanged.
  Scheme scheme{.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f16};
  std::vector<std::string> keep;       // patterns of tensors that stay float
  std::vector<std::string> overrides;  // "PATTERN=bits[:group]"
  // Schemes of matrices that neither `keep` nor `overrides` names, by canonical name
  // ("encoder.layer.0.output.dense.weight"); mode none is float. Set by solvers, presets and recipes
  // (allocate.h).
  std::map<std::string, Scheme> allocation;
  // Affine schemes only. Unset: round-to-nearest, at every width. (The program calibrates by default below 8
  // bits; the library does not, because calibration takes time.)
  std::optional<Calibration> calibration;
  Layout layout = Layout::hf;
  // Converts a model whose layers have tensors that its architecture does not have. They are left out.
  bool allow_unknown = false;
  uint64_t max_shard_size = 5'000'000'000;  // bytes of tensors in a weight file, unless one tensor is larger
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
  Shape shape;         // logical: [out, in], independent of packing
  std::string role;    // "linear", "embedding", "norm", ...; "unused": the model does not read it
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
  std::vector<std::string> notes;  // facts that need no attention
};

// Reads headers and small files. Of each float matrix, also reads rows until they show that the matrix was
// never quantized (usually the first row). Warnings go to the plan and to options.warning. Errors:
// those of reading a folder; usage (options, patterns that match nothing, a scheme that fits no matrix
// though `keep` leaves some); format (all missing or misshapen tensors in one message); unsupported;
// strict.
ConversionPlan plan_conversion(const ConvertOptions& options);

struct Conversion {
  ConversionPlan plan;
  std::filesystem::path folder;
  uint64_t bytes = 0;                          // of the weight files on disk; equals plan.predicted_bytes
  bool skipped = false;                        // the folder held this conversion already
  std::vector<TensorCalibration> calibration;  // in the order of the run; empty without, or if skipped
};

// Memory: writing takes slices of 8 million values; a few texts of the golden then run through the mapped source.
// The same source and options give the same bytes of weights, index and
// config.json on every machine and number of threads.
// Errors: also usage (the output exists and is not this conversion), io (full disk, ...), numeric (NaN,
// infinity or a value the dtype can't hold: names tensor and row).
Conversion convert(const ConvertOptions& options);

struct DequantizeOptions {
  std::filesystem::path model;
  std::filesystem::path output;
  // Of everything written. Unset: "dtype" of config.json, else float16.
  std::optional<Dtype> dtype;
  bool allow_unknown = false;  // as in ConvertOptions
  uint64_t max_shard_size = 5'000'000'000;
  bool strict = false;
  IfDone if_done = IfDone::skip;
  int threads = 0;
  Warning warning;
  Progress progress;
};

// Writes the dequantized values as plain floats, for tools that can't read MLX's format.
Conversion dequantize_model(const DequantizeOptions& options);

}  // namespace mlxe
