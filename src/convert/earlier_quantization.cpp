#include "convert/earlier_quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "convert/value_grid.h"

namespace mlxe {
namespace {

// The grid of the first matrix that has one; empty without.
std::string values_on_a_grid(const Checkpoint& checkpoint, std::span<const TensorJob> jobs) {
  for (const TensorJob& job : jobs)
    if (job.origin == TensorJob::Origin::stored)
      if (const auto grid = find_value_grid(checkpoint, job.source))
        return fmt::format(" ({}: {})", job.source.name, to_string(*grid, job.source.dtype));
  return {};
}

bool is_declared(const Checkpoint& checkpoint) {
  const Config& config = checkpoint.config();
  return std::ranges::find(checkpoint.tensors(), TensorRole::stray_component, &CheckpointTensor::role) !=
             checkpoint.tensors().end() ||
         (config.has("mlx_encoder") &&
          config.object("mlx_encoder").get_or<std::string>("scheme", "") == "fake");
}

// What the reader of another format decoded, "Q4_K, Q6_K"; empty if the file holds floats.
std::string decoded_forms(const Checkpoint& checkpoint) {
  std::set<std::string> forms;
  for (const CheckpointTensor& tensor : checkpoint.tensors())
    if (!tensor.view.decoded_from.empty() && tensor.view.shape.size() == 2)
      forms.insert(tensor.view.decoded_from);
  return fmt::format("{}", fmt::join(forms, ", "));
}

}  // namespace

std::string earlier_quantization(const ConversionSource& source, std::span<const TensorJob> jobs) {
  if (const std::string forms = decoded_forms(source.checkpoint); !forms.empty())
    return fmt::format(
        "{}: its weights are stored quantized ({}), so the floats carry the error of that quantization, "
        "which no "
        "conversion undoes; quantizing adds a second rounding: convert the original model if you have it",
        source.checkpoint.files().front().path.string(), forms);
  const bool declared = is_declared(source.checkpoint);
  const std::string seen = declared ? "" : values_on_a_grid(source.checkpoint, jobs);
  if (!declared && seen.empty()) return {};
  return fmt::format(
      "{}: fake-quantized{}: its floats carry the error of an earlier quantization, which no "
      "conversion undoes; quantizing adds a second rounding: convert the original model if "
      "you have it",
      source.folder(), seen);
}

}  // namespace mlxe
