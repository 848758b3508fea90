// The weight files of a conversion: their tensors and the origin of each tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "convert/tensor_planner.h"
#include "format/safetensors.h"

namespace mlxe {

struct Shard {
  std::string file;
  size_t first = 0, count = 0;  // of WeightJobs::tensors
};

struct WeightJobs {
  std::vector<TensorJob> tensors;  // one for each of ConversionPlan::tensors
  std::vector<Shard> shards;
  SafetensorsWriter::Metadata metadata;
  std::vector<std::pair<StoredWeight, StoredWeight>> tied;  // as TensorPlan::tied

  std::vector<TensorSpec> components(const Shard& shard) const;
  // Of the weight files in a written folder.
  uint64_t bytes_in(const std::filesystem::path& folder) const;
};

// Distributes the tensors over files of at most `most_bytes`. A file has at least one tensor.
std::vector<Shard> cut_into_shards(const std::vector<PlannedTensor>& tensors, uint64_t most_bytes);

}  // namespace mlxe
