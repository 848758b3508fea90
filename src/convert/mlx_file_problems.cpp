#include "convert/mlx_file_problems.h"

#include <fmt/format.h>

#include "base/wording.h"

namespace mlxe {

std::string f64_tensors(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : checkpoint.tensors())
    if (tensor.view.dtype == Dtype::f64) names.push_back(tensor.original);
  return names.empty() ? ""
                       : fmt::format("{} tensors are F64, which MLX does not read: {}", names.size(),
                                     listed(names, kListedTensors));
}

std::vector<std::string> other_tensors(const std::vector<std::string>& missing,
                                       const std::vector<std::string>& unexpected) {
  std::vector<std::string> sentences;
  if (!missing.empty())
    sentences.push_back(fmt::format("{} tensors it asks for are missing: {}", missing.size(),
                                    listed(missing, kListedTensors)));
  if (!unexpected.empty())
    sentences.push_back(fmt::format("{} tensors it has no place for: {}", unexpected.size(),
                                    listed(unexpected, kListedTensors)));
  return sentences;
}

std::vector<std::string> unnoticed_files(const Checkpoint& checkpoint) {
  std::vector<std::string> why;
  for (const CheckpointFile& file : checkpoint.files())
    if (const std::string name = file.path.filename().string();
        !name.starts_with("model") || !name.ends_with(".safetensors"))
      why.push_back(fmt::format("{} is not named model*.safetensors", name));
  return why;
}

}  // namespace mlxe
