// The weight files of a conversion: which tensors go into which, made from what.
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
  std::vector<TensorJob> tensors;  // beside ConversionPlan::tensors
  std::vector<Shard> shards;
  SafetensorsWriter::Metadata metadata;
  std::vector<std::pair<StoredWeight, StoredWeight>> tied;  // as TensorPlan::tied

  std::vector<TensorSpec> components(const Shard& shard) const;
  // Of the weight files in a written folder.
  uint64_t bytes_in(const std::filesystem::path& folder) const;
};

// Cuts the tensors into files of at most `most_bytes` each, but one tensor at least.
std::vector<Shard> cut_into_shards(const std::vector<PlannedTensor>& tensors, uint64_t most_bytes);

}  // namespace mlxe
