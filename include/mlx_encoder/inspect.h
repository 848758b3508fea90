// What a model folder stores, by tensor and by component, and whether its quantization is real.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class Diagnosis {
  plain,    // "float": plain floats, and nothing claims otherwise
  mlx,      // some matrices are stored in MLX's quantized format; the others are plain
  int8,     // some matrices are this project's int8; the others are plain
  fake,     // claims or looks to be quantized, but stores floats
  mixed,    // more than one of mlx, int8, fake
  unknown,  // stored in a way this library can't read
};
const char* name(Diagnosis diagnosis) noexcept;  // "float", "mlx", ...

struct InspectedTensor {
  std::string name;          // as in the file; a quantized weight with its scales and biases
  Shape shape;               // logical
  Scheme scheme;             // mode fake: floats on an 8-bit (or smaller) grid
  Dtype dtype = Dtype::f32;  // of the codes or values as the file has them
  uint64_t bytes = 0;
  double bits_per_weight = 0;
  std::string component;  // "embeddings", "attention", "feed-forward", "norms", "head"; "other": not read
  std::string finding;    // what is wrong with the tensor; empty if nothing is
};

struct ComponentSize {
  std::string component;
  uint64_t tensors = 0, parameters = 0, bytes = 0;
};

struct ReaderVerdict {
  std::string reader;  // "mlx-encoder", "mlx-embeddings", "MLXEmbedders (Swift)", "mlx-lm", "mlx-lm layout"
  bool loads = false;
  std::vector<std::string> why;  // why it does not load or, if it loads, what it does differently
  std::string
      version;  // of the reader, whose rules were applied: "0.1.0"; a reader has an entry for each. Empty: any
};

struct Inspection {
  std::string model_type;
  Diagnosis diagnosis = Diagnosis::unknown;
  std::vector<std::string> evidence;  // for the diagnosis, one sentence each
  uint64_t bytes = 0;                 // of the weight files
  uint64_t parameters = 0;
  double bits_per_weight = 0;             // as stored
  uint64_t bytes_at_8_bits = 0;           // of the weight files convert would write at 8 bits; 0 if it can't
  Mode mode_at_8_bits = Mode::affine;     // int8 if no group fits matrices that int8 can store
  std::vector<InspectedTensor> tensors;   // in the order of the files
  std::vector<ComponentSize> components;  // largest first
  std::vector<std::string> heads;  // what mlx-encoder computes besides token vectors: "pooler", "logits", ...
  std::vector<ReaderVerdict> readers;
  std::vector<std::string> unknown_keys;  // keys of config.json that nothing uses
  // Files that are not as mlx_encoder.json records them; see changed_files().
  std::vector<std::string> changes;
  std::vector<std::string> warnings;
};

// Reads the values of each float matrix until they show whether the matrix was quantized. `threads` 0: all
// cores. Errors: not_found, io, format (not a model folder).
Inspection inspect_model(const std::filesystem::path& folder, int threads = 0);

// Compares the files of a converted folder with mlx_encoder.json, which records sizes and SHA-256 sums.
// Returns one sentence for each file that is missing or differs, or one sentence if mlx_encoder.json or a
// file can't be read. Empty if all files are as recorded, or if there is no mlx_encoder.json. Reads the
// files whole.
std::vector<std::string> changed_files(const std::filesystem::path& folder);

}  // namespace mlxe
