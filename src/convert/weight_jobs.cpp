#include "convert/weight_jobs.h"

#include <fmt/format.h>

namespace mlxe {

std::vector<TensorSpec> WeightJobs::components(const Shard& shard) const {
  std::vector<TensorSpec> all;
  for (size_t i = shard.first; i < shard.first + shard.count; ++i)
    all.insert(all.end(), tensors[i].components.begin(), tensors[i].components.end());
  return all;
}

uint64_t WeightJobs::bytes_in(const std::filesystem::path& folder) const {
  uint64_t total = 0;
  for (const Shard& shard : shards) total += std::filesystem::file_size(folder / shard.file);
  return total;
}

std::vector<Shard> cut_into_shards(const std::vector<PlannedTensor>& tensors, uint64_t most_bytes) {
  std::vector<Shard> shards;
  uint64_t held = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (shards.empty() || held + tensors[i].bytes > most_bytes) {
      shards.push_back({.file = {}, .first = i});
      held = 0;
    }
    ++shards.back().count;
    held += tensors[i].bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i)
    shards[i].file = shards.size() == 1
                         ? std::string("model.safetensors")
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  return shards;
}

}  // namespace mlxe
