// What sentence-transformers gives for folders with a Router: cases.json and vectors.safetensors of one folder.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "golden.h"
#include "mlx_encoder/encoder.h"

namespace mlxe::test {

// Methods of the original, with the task of their texts.
inline constexpr std::pair<const char*, EmbedTask> kRouteMethods[] = {
    {"encode", EmbedTask::any}, {"encode_query", EmbedTask::query}, {"encode_document", EmbedTask::document}};

class RouteGoldens {
 public:
  explicit RouteGoldens(const std::filesystem::path& folder)
      : cases(read_json(folder / "cases.json")),
        texts(cases.at("texts").get<std::vector<std::string>>()),
        file_(folder / "vectors.safetensors") {}

  const TensorView& vectors(const std::string& name) const {
    const TensorView* view = file_.find(name);
    if (view == nullptr) throw std::runtime_error("no golden " + name);
    return *view;
  }

  const nlohmann::json cases;
  const std::vector<std::string> texts;

 private:
  SafetensorsFile file_;
};

}  // namespace mlxe::test
