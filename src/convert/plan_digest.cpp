#include "convert/plan_digest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "calibrate/calibration_texts.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

std::string json_quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

std::string line_of(const Calibration& calibration) {
  return fmt::format("calibration {} {} {}{}\n", name(calibration.method), calibration.limit,
                     hash_of(calibration.texts),
                     calibration.built_in == BuiltInText::mixed_in ? " and the built-in text" : "");
}

}  // namespace

std::string plan_digest(const ConversionPlan& plan, std::span<const TensorJob> jobs,
                        const std::string& config, const std::optional<Calibration>& calibration) {
  std::string text = fmt::format("mlx-encoder {}\n", kVersion);
  for (size_t i = 0; i < jobs.size(); ++i) {
    text += fmt::format("{} {} {}", json_quoted(plan.tensors[i].source), static_cast<int>(jobs[i].origin),
                        to_string(plan.tensors[i].scheme));
    for (const TensorSpec& component : jobs[i].components)
      text += fmt::format(" {} {} {}", json_quoted(component.name), name(component.dtype),
                          to_string(component.shape));
    text += "\n";
  }
  for (const auto& [file, bytes] : plan.files) text += fmt::format("{} {}\n", file, bytes);
  text += config;
  if (calibration) text += line_of(calibrate::with_default_texts(*calibration));
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::string hash_of(std::span<const TextInput> texts) {
  Sha256 hash;
  const auto add = [&](const std::string& text) {  // its length first, so that no two lists hash alike
    const uint64_t size = text.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(text)));
  };
  for (const TextInput& text : texts) {
    add(text.text);
    add(text.pair ? "pair" : "");
    if (text.pair) add(*text.pair);
  }
  return hash.finish_hex();
}

}  // namespace mlxe
