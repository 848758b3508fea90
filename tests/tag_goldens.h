// tests/data/tag: what transformers makes of texts by token classifiers (tools/make_tag_goldens.py).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model_folders.h"

namespace mlxe::test {

inline const nlohmann::json& tag_goldens() {
  static const nlohmann::json all = read_json(std::filesystem::path(MLXE_TEST_DATA) / "tag" / "cases.json");
  return all;
}

// The models of the golden that have results of this kind: "entities", "windows", "words".
inline std::vector<nlohmann::json> tag_models(const char* kind) {
  std::vector<nlohmann::json> found;
  for (const nlohmann::json& model : tag_goldens().at("models"))
    if (model.contains(kind)) found.push_back(model);
  return found;
}

// The folder that a model of the golden stands for, made in `parent`.
inline std::filesystem::path tag_folder(const nlohmann::json& model, const std::filesystem::path& parent) {
  const std::filesystem::path source = tiny(model.at("folder").get<std::string>());
  const std::filesystem::path folder =
      changed_copy(source, parent / model.at("name").get<std::string>(), [&](RawTensors& tensors) {
        RawTensor& weight = tensors.at("classifier.weight");
        std::vector<float> values = floats(weight);
        for (float& v : values) v *= model.at("scale").get<float>();
        weight = float_tensor(weight.shape, values);
        RawTensor& bias = tensors.at("classifier.bias");
        bias = float_tensor(bias.shape, model.at("bias").get<std::vector<float>>());
      });
  for (const auto& [file, keys] : model.at("changes").items()) {
    nlohmann::json values = read_json(folder / file);
    values.update(keys);
    write_file(folder / file, values.dump());
  }
  return folder;
}

}  // namespace mlxe::test
