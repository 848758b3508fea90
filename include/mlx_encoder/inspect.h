// What a model folder really stores: by tensor, by component, and whether its quantization is real.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class Diagnosis {
  plain,    // "float": plain floats, and nothing says otherwise
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
  std::string finding;    // what is odd about it; empty if nothing is
};

struct ComponentSize {
  std::string component;
  uint64_t tensors = 0, parameters = 0, bytes = 0;
};

struct ReaderVerdict {
  std::string reader;  // "mlx-encoder", "mlx-embeddings", "mlx-lm layout"
  bool loads = false;
  std::vector<std::string> why;  // why not; or, if it loads, what it will do differently
};

struct Inspection {
  std::string model_type;
  Diagnosis diagnosis = Diagnosis::unknown;
  std::vector<std::string> evidence;  // for the diagnosis, one sentence each
  uint64_t bytes = 0;                 // of the weight files
  uint64_t parameters = 0;
  double bits_per_weight = 0;          // as stored
  uint64_t bytes_at_8_bits = 0;        // of the weight files convert would write at 8 bits; 0 where it can't
  Mode mode_at_8_bits = Mode::affine;  // or int8, where groups leave matrices float that int8 does not
  std::vector<InspectedTensor> tensors;   // in the order of the files
  std::vector<ComponentSize> components;  // largest first
  std::vector<ReaderVerdict> readers;
  std::vector<std::string> unknown_keys;  // of config.json: nothing uses them
  // Files that are not as mlx_encoder.json records them; see changed_files().
  std::vector<std::string> changes;
  std::vector<std::string> warnings;
};

// Reads the values of float matrices as far as it must to tell quantized ones from others; `threads` 0: all
// cores. Errors: not_found, io, format (a folder nothing can be said about).
Inspection inspect_model(const std::filesystem::path& folder, int threads = 0);

// One sentence for each file of a converted folder that is missing, or whose size or SHA-256 is not what its
// mlx_encoder.json records, or one if that or a file can't be read; empty if all are as recorded, and where
// nothing is. Reads the files whole.
std::vector<std::string> changed_files(const std::filesystem::path& folder);

}  // namespace mlxe
