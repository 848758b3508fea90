#include "format/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "format/json_file.h"
#include "format/safetensors.h"
#include "format/torch_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// The preferred one first, as PEFT takes them.
constexpr std::string_view kAdapterWeights[] = {"adapter_model.safetensors", "adapter_model.bin",
                                                "adapters.safetensors"};
constexpr std::string_view kAdapterPrefix = "base_model.model.";

struct ChangePart {
  std::string_view ending;
  const TensorView* LowRankChange::*part;
  bool of_embedding;
  bool of_mlx;
};
constexpr ChangePart kParts[] = {
    {".lora_A.weight", &LowRankChange::a, false, false},
    {".lora_B.weight", &LowRankChange::b, false, false},
    {".lora_B.bias", &LowRankChange::bias, false, false},
    {".lora_embedding_A", &LowRankChange::a, true, false},
    {".lora_embedding_B", &LowRankChange::b, true, false},
    {".lora_magnitude_vector", &LowRankChange::magnitude, false, false},
    {".lora_magnitude_vector.weight", &LowRankChange::magnitude, false, false},
    {".lora_a", &LowRankChange::a, false, true},
    {".lora_b", &LowRankChange::b, false, true},
};
// In the names of tensors that are no plain tensor of the model.
constexpr std::string_view kForeignParts[] = {".lora_", ".token_adapter.", ".modules_to_save.",
                                              ".original_module."};

fs::path weights_in(const fs::path& folder) {
  for (const std::string_view name : kAdapterWeights)
    if (fs::exists(folder / name)) return folder / name;
  throw Error(ErrorCode::not_found,
              fmt::format("{}: no tensors of an adapter, expected {}; is the download complete?",
                          folder.string(), fmt::join(kAdapterWeights, ", ")));
}

// A bias or magnitude in place of a model's tensor has the name of the layer that PEFT wraps.
std::string without_base_layer(std::string name) {
  constexpr std::string_view kWrapped = ".base_layer.";
  if (const size_t at = name.rfind(kWrapped); at != name.npos) name.erase(at, kWrapped.size() - 1);
  return name;
}

void add(Adapter& adapter, const TensorView& tensor) {
  const auto refuse = [&](ErrorCode code, const char* what) {
    throw Error(code, fmt::format("{}: {} {}", adapter.path.string(), printable(tensor.name), what));
  };
  std::string name = tensor.name;
  if (name.starts_with(kAdapterPrefix)) name.erase(0, kAdapterPrefix.size());
  if (!is_float(tensor.dtype)) refuse(ErrorCode::unsupported, "holds no floats, expected F32, F16 or BF16");
  for (const ChangePart& part : kParts) {
    if (!name.ends_with(part.ending) || part.of_mlx != (adapter.config.form == AdapterForm::mlx)) continue;
    LowRankChange& change = adapter.changes[name.substr(0, name.size() - part.ending.size())];
    if (std::exchange(change.*part.part, &tensor) != nullptr) refuse(ErrorCode::format, "is there twice");
    change.of_embedding |= part.of_embedding;
    return;
  }
  for (const std::string_view foreign : kForeignParts)
    if (name.find(foreign) != name.npos)
      refuse(ErrorCode::unsupported,
             "is of a kind that this version does not merge; merge it with PEFT first");
  if (!adapter.replaced.emplace(without_base_layer(name), &tensor).second)
    refuse(ErrorCode::format, "is there twice");
}

}  // namespace

std::string adapter_weights_among(const std::vector<std::string>& names) {
  for (const std::string_view name : kAdapterWeights)
    if (std::ranges::find(names, name) != names.end()) return std::string(name);
  return {};
}

std::vector<fs::path> Adapter::files(const fs::path& folder) {
  return {folder / kAdapterConfig, weights_in(folder)};
}

Adapter Adapter::read(const fs::path& folder, const Warning& warn) {
  AdapterConfig config = AdapterConfig::read(folder, warn);
  const fs::path weights = weights_in(folder);
  Adapter adapter;
  adapter.config = std::move(config);
  adapter.path = weights;
  const TensorFile& file =
      adapter.file.emplace(weights, weights.extension() == ".bin" ? parse_torch : parse_safetensors);
  for (const TensorView& tensor : file.tensors()) add(adapter, tensor);
  const auto incomplete = [&](const std::string& module, const char* what) {
    throw Error(ErrorCode::format, fmt::format("{}: {} has {}", weights.string(), printable(module), what));
  };
  for (const auto& [module, change] : adapter.changes) {
    if (change.a == nullptr || change.b == nullptr) incomplete(module, "one of the matrices A and B alone");
    if (adapter.config.dora != (change.magnitude != nullptr))
      incomplete(module, adapter.config.dora ? "no magnitudes, expected those of DoRA"
                                             : "magnitudes of DoRA, but \"use_dora\" is false");
  }
  if (file.tensors().empty())
    throw Error(ErrorCode::format, weights.string() + ": has no tensors; is the download complete?");
  return adapter;
}

}  // namespace mlxe
