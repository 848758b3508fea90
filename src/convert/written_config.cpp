#include "convert/written_config.h"

#include <nlohmann/json.hpp>

#include "convert/weight_components.h"
#include "format/task_adapters.h"

namespace mlxe {
namespace {

using nlohmann::json;

json entry(const Scheme& scheme) {
  return {{"bits", scheme.bits}, {"group_size", scheme.group_size}, {"mode", name(scheme.mode)}};
}

}  // namespace

std::string pretty(const json& value) {
  return value.dump(4, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string written_config(const json& source, const StoredForm& form) {
  json config = source;
  // The changes for tasks are merged or left out.
  for (const char* key : {"_name_or_path", "mlx_encoder", "quantization", "quantization_config", kTasks})
    config.erase(key);
  if (form.dtype)
    for (const char* key : {"dtype", "torch_dtype"})  // transformers' name for it, now and before 4.56
      if (config.contains(key)) config[key] = to_string(Scheme{.dtype = *form.dtype});
  if (!form.any_quantized) return pretty(config);
  if (is_mlx(form.scheme.mode)) {
    json quantization = entry(form.scheme);
    for (const auto& [module, scheme] : form.overrides) quantization[module] = entry(scheme);
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  } else if (form.scheme.mode != Mode::none) {
    config["mlx_encoder"] = {{"scheme", name(form.scheme.mode)}, {"version", 1}};
  }
  return pretty(config);
}

}  // namespace mlxe
