#include "sweep/cell_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/sha256.h"
#include "base/text.h"
#include "convert/prepared_conversion.h"
#include "mlx_encoder/version.h"
#include "quant/sources_hash.h"

namespace mlxe {

namespace fs = std::filesystem;

const std::string& FileHashes::of(const fs::path& file) {
  const auto [found, added] = known_.try_emplace(file);
  if (added) {
    try {
      found->second = sha256_hex(file);
    } catch (...) {
      known_.erase(found);
      throw;
    }
  }
  return found->second;
}

const std::string& FileHashes::of_tree(const fs::path& path) {
  if (!fs::is_directory(path)) return of(path);
  const auto found = known_.find(path);
  if (found != known_.end()) return found->second;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  std::string text;
  for (const fs::path& file : files)
    text += fmt::format("{} {}\n", of(file), file.lexically_relative(path).generic_string());
  return known_[path] = sha256_hex(std::as_bytes(std::span(text)));
}

namespace {

nlohmann::json settings(const std::vector<GateSetting>& gates) {
  nlohmann::json list = nlohmann::json::array();
  for (const GateSetting& g : gates)
    list.push_back({g.tensor, g.metric, g.limit ? nlohmann::json(*g.limit) : nlohmann::json(nullptr)});
  return list;
}

}  // namespace

nlohmann::json cell_key(const SweepModel& model, const SweepScheme& scheme, const ConvertOptions& conversion,
                        const SweepOptions& options, FileHashes& hashes) {
  const PreparedConversion prepared = prepare(conversion);
  nlohmann::json key{{"tool", std::string("mlx-encoder ") + kVersion + " " + conversion_sources_hash()},
                     {"plan", prepared.digest()},
                     {"engine", static_cast<int>(options.engine)},
                     {"max_length", model.max_length},
                     {"limit", model.limit},
                     {"gates", {settings(scheme.gates), settings(model.gates)}}};
  for (const std::string& file : prepared.source().files())
    key["source"][file] = hashes.of(model.path / file);
  if (scheme.target) {
    key["target"] = {option_of(scheme.target->kind), scheme.target->value};
    if (scheme.calibrate.empty()) key["target_texts"] = hashes.of(model.calibration);
  }
  if (!model.texts.empty()) key["texts"] = {ending_of(model.texts), hashes.of(model.texts)};
  if (model.task) {
    key["task"] = {{"kind", name(*model.task)},
                   {"data", hashes.of_tree(model.data)},
                   {"format", model.reading.format + ending_of(model.data)},
                   {"columns", model.reading.columns},
                   {"tagging", static_cast<int>(model.tagging)}};
    if (!model.reading.qrels.empty()) key["task"]["qrels"] = hashes.of(model.reading.qrels);
  }
  return key;
}

}  // namespace mlxe
