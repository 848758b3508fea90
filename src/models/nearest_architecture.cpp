#include "models/nearest_architecture.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/wording.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"
#include "models/unknown_tensors.h"

namespace mlxe {
namespace {

constexpr size_t kListed = 4;  // most names in a message

struct Difference {
  const Architecture* architecture;
  size_t parameters;                 // of its encoder
  std::vector<std::string> missing;  // parameters that the checkpoint lacks or has in another shape
  std::vector<std::string> unknown;  // tensors of layers that the architecture lacks
  std::vector<std::string> keys;     // of config.json that it does not know

  size_t tensors() const { return missing.size() + unknown.size(); }
};

// None if the architecture cannot be made from this config.json.
std::optional<Difference> difference(Checkpoint& checkpoint, const Architecture& architecture) {
  try {
    const Config config(checkpoint.config().json(), checkpoint.config().where());  // an account of its own
    config.reject_unsupported(architecture.own_keys);
    const Model model = architecture.make(config);
    checkpoint.canonicalize(architecture.base_prefix, architecture.alias);
    Difference d{.architecture = &architecture,
                 .parameters = model.parameters().size(),
                 .missing = {},
                 .unknown = unknown_tensors(checkpoint, model),
                 .keys = config.unknown_keys()};
    for (const Parameter& p : model.parameters())
      if (!checkpoint.has(p.name) || checkpoint.stored(p.name).shape != p.shape) d.missing.push_back(p.name);
    return d;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string nearest_architecture(Checkpoint& checkpoint) {
  std::optional<Difference> nearest;
  for (const Architecture& architecture : architectures())
    if (std::optional<Difference> d = difference(checkpoint, architecture);
        d && 2 * d->missing.size() < d->parameters && (!nearest || d->tensors() < nearest->tensors()))
      nearest = std::move(d);
  if (!nearest) return "it resembles none of them";
  std::string differences;
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty())
      differences += fmt::format("{}{} {}", differences.empty() ? "" : ", ", what, listed(names, kListed));
  };
  add("it lacks", nearest->missing);
  add("it also has", nearest->unknown);
  add("it has the unknown keys", nearest->keys);
  const char* type = nearest->architecture->model_type;
  if (differences.empty())
    return fmt::format(
        "its config.json and tensors are those of {}; if its code is, too, set \"model_type\" to "
        "\"{}\"",
        type, type);
  return fmt::format("the nearest is {}, from which it differs: {}", type, differences);
}

}  // namespace mlxe
