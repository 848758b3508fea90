// A conversion worked out down to the byte: the public plan, where each tensor comes from and every small
// file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convert/carried_files.h"
#include "format/checkpoint.h"
#include "format/safetensors.h"
#include "mlx_encoder/convert.h"

namespace mlxe {

// How one tensor of the output comes about.
struct Work {
  enum class Origin {
    stored,    // from `source`, converted to the planned scheme
    zeros,     // made up
    identity,  // made up, square
  };
  Origin origin = Origin::stored;
  StoredWeight source;            // points into Blueprint::checkpoint
  std::vector<TensorSpec> specs;  // codes, scales, biases as far as the scheme has them
};

struct Shard {
  std::string file;
  size_t first = 0, count = 0;  // of Blueprint::work
};

struct Blueprint {
  Checkpoint checkpoint;
  ConversionPlan plan;
  std::vector<Work> work;  // beside plan.tensors
  std::vector<Shard> shards;
  SafetensorsWriter::Metadata metadata;
  // Two tensors the source ties but stores both; only the first is written. Compared when weights are read.
  std::vector<std::pair<StoredWeight, StoredWeight>> tied;

  std::map<std::string, std::string> texts;  // file name -> content: config.json, the index, README.md
  std::vector<CarriedFile> carried;          // copied byte for byte
  CarriedTokenizer tokenizer;                // among them
  std::vector<std::string> source_files;     // all that decides the output, relative to the source
  std::string digest;                        // of the plan, for mlx_encoder.json

  std::vector<TensorSpec> specs(const Shard& shard) const;
  // Files of the output that mlx_encoder.json vouches for.
  std::vector<std::string> output_files() const;
};

enum class Purpose { convert, dequantize };

// Errors: see plan_conversion.
Blueprint make_blueprint(const ConvertOptions& options, Purpose purpose);

}  // namespace mlxe
