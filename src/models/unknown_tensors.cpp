#include "models/unknown_tensors.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "base/wording.h"
#include "mlx_encoder/error.h"
#include "models/tied_tensors.h"

namespace mlxe {
namespace {

constexpr size_t kListed = 4;  // most names in a message

// Names up to the number of a layer: "encoder.layer.0." of "encoder.layer.0.output.dense.weight". The first number of a
// name counts layers in all architectures.
std::string_view layer_prefix(std::string_view name) {
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (!part.empty() && part.find_first_not_of("0123456789") == part.npos) return name.substr(0, end + 1);
    begin = end + 1;
  }
  return {};
}

}  // namespace

std::vector<std::string> unknown_tensors(const Checkpoint& checkpoint, const Model& model) {
  std::set<std::string_view> read, layers;
  for (const Parameter& p : model.plan.checkpoint_parameters()) {
    read.insert(p.name);
    if (p.layer) layers.insert(layer_prefix(p.name));
  }
  layers.erase(std::string_view());
  std::vector<std::string> unknown;
  for (const CheckpointTensor& tensor : checkpoint.tensors())
    if (tensor.role == TensorRole::weight && !read.contains(tensor.name) &&
        layers.contains(layer_prefix(tensor.name)) && tied_to(checkpoint, tensor) == nullptr)
      unknown.push_back(tensor.original);
  return unknown;
}

void require_no_unknown_tensors(const Checkpoint& checkpoint, const Model& model) {
  const std::vector<std::string> unknown = unknown_tensors(checkpoint, model);
  if (unknown.empty()) return;
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: config.json says {}, whose layers have no {}; the model is another architecture (or has "
          "adapters that were not merged), and its results would be wrong without {}; --allow-unknown "
          "runs it all the same",
          checkpoint.folder().string(), model.model_type, listed(unknown, kListed),
          unknown.size() == 1 ? "this tensor" : "these tensors"));
}

}  // namespace mlxe
