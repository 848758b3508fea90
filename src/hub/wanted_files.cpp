#include "hub/wanted_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/whole_file.h"
#include "base/wording.h"
#include "format/adapter.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostNamed = 5;  // files in a message

std::string inside(const fs::path& folder, const std::string& name) {
  return (folder / name).generic_string();
}

// Names of the files in a folder itself.
FileNames names_in_place(const FileNames& listed, const fs::path& folder) {
  FileNames names;
  for (const std::string& file : listed)
    if (fs::path(file).parent_path() == folder) names.push_back(fs::path(file).filename().string());
  return names;
}

[[noreturn]] void refuse_without_weights(const FileNames& listed, const std::string& repo) {
  std::vector<std::string> others, expected;
  for (const std::string& file : listed)
    if (is_weight_file_name(fs::path(file).filename().string()) || is_foreign_weight_file(file))
      others.push_back(printable(file));
  for (const WeightFormat& format : weight_formats()) expected.emplace_back(format.single);
  const std::string read = fmt::format("{}", fmt::join(expected, " or "));
  if (others.empty())
    throw Error(ErrorCode::not_found,
                fmt::format("{}: the repository has no weights, expected {}; choose another", repo, read));
  throw Error(
      ErrorCode::unsupported,
      fmt::format("{}: the only weights are {}, expected {}; choose another repository, or load the model "
                  "with transformers and call save_pretrained",
                  repo, mlxe::listed(others, kMostNamed), read));
}

// The shards of an index that the snapshot has.
FileNames shards_of(const fs::path& index, const WeightFormat& format) {
  std::set<std::string> shards;
  for (auto& [tensor, file] :
       parse_weight_index(read_whole_file(index, kMaxJsonBytes), format, index.string()))
    shards.insert(file);
  return {shards.begin(), shards.end()};
}

// The export that is read and its external data, which exporters call "model.onnx_data" or "model.onnx.data".
FileNames export_among(const FileNames& names, const WeightFormat& format, const std::string& repo) {
  const std::string chosen = find_export(format, names);
  if (chosen.empty())
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the only weights are several exports, none of which is {}; download one with its "
                    "config.json and tokenizer.json, and give its path",
                    repo, format.single));
  FileNames wanted{chosen};
  std::ranges::copy_if(names, std::back_inserter(wanted), [&](const std::string& name) {
    return name.starts_with(chosen + "_data") || name.starts_with(chosen + ".data");
  });
  return wanted;
}

// As open_weight_files finds them in a folder with these files. Empty if there are none.
FileNames weights_among(const FileNames& names, const fs::path& folder, const std::string& repo) {
  const auto has = [&](const std::string& name) { return std::ranges::find(names, name) != names.end(); };
  const WeightFormat* format = find_weight_format(names);
  if (format == nullptr) return {};
  if (format->is_export) return export_among(names, *format, repo);
  FileNames wanted;
  if (has(format->single)) {
    wanted.emplace_back(format->single);
    // A converted folder is checked against its record, which has all files.
    if (has(format->index()) && has(kProvenanceFile)) wanted.emplace_back(format->index());
    return wanted;
  }
  if (!has(format->index())) {
    std::ranges::copy_if(names, std::back_inserter(wanted),
                         [&](const std::string& name) { return format->is_weights(name); });
    return wanted;
  }
  wanted.emplace_back(format->index());
  if (!fs::exists(folder / format->index())) return wanted;
  for (const std::string& shard : shards_of(folder / format->index(), *format)) {
    if (!has(shard))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: {} names {}, which the repository does not have; choose another revision",
                              repo, format->index(), printable(shard)));
    wanted.push_back(shard);
  }
  return wanted;
}

// The tensors of the repository's adapter. Empty if it has none.
std::string adapter_among(const FileNames& listed) {
  return std::ranges::find(listed, kAdapterConfig) == listed.end() ? "" : adapter_weights_among(listed);
}

// That of a subfolder, such as onnx/model.onnx; relative to `place`.
FileNames inner_export(const FileNames& listed, const fs::path& place, const std::string& repo) {
  for (const WeightFormat& format : weight_formats()) {
    if (!*format.subfolder) continue;
    const FileNames names = names_in_place(listed, place / format.subfolder);
    if (find_weight_format(names) != &format) continue;
    FileNames wanted = export_among(names, format, repo);
    for (std::string& name : wanted) name = inside(format.subfolder, name);
    return wanted;
  }
  return {};
}

// Of a Router with an encoder in each route: the encoders' weights, and those of the other modules.
FileNames weights_of_routes(const FileNames& listed, const fs::path& snapshot, const EncoderRoutes& routes,
                            const std::string& repo) {
  FileNames wanted;
  const ModelFiles files(snapshot);
  for (const fs::path& place : files.modules()) {
    const FileNames weights = weights_among(names_in_place(listed, place), snapshot / place, repo);
    if (weights.empty() && std::ranges::find(routes.encoders, place) != routes.encoders.end())
      refuse_without_weights(listed, repo);
    for (const std::string& name : weights) wanted.push_back(inside(place, name));
  }
  return wanted;
}

}  // namespace

FileNames wanted_small_files(const FileNames& listed, const fs::path& snapshot) {
  const ModelFiles files(snapshot);
  FileNames wanted;
  std::ranges::copy_if(listed, std::back_inserter(wanted), [&](const std::string& file) {
    const std::string name = fs::path(file).filename().string();
    return !file.starts_with('.') && !name.starts_with('.') && !is_weight_file_name(name) && files.has(file);
  });
  return wanted;
}

FileNames wanted_weights(const FileNames& listed, const fs::path& snapshot, const std::string& repo) {
  if (const auto routes = encoder_routes(snapshot)) return weights_of_routes(listed, snapshot, *routes, repo);
  const fs::path transformer = transformer_path(snapshot);
  const std::string adapter = adapter_among(listed);
  if (!adapter.empty() && is_adapter_alone(snapshot)) return {adapter};
  const auto described =
      std::ranges::find_if(listed, [](const std::string& file) { return file.ends_with(".gguf"); });
  if (!fs::exists(snapshot / transformer / "config.json") && described != listed.end())
    throw Error(
        ErrorCode::not_found,
        fmt::format("{}: the repository has no {}, but GGUF files; download one of them ({}) and name it",
                    repo, inside(transformer, "config.json"), printable(*described)));
  if (!fs::exists(snapshot / transformer / "config.json"))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: the repository has no {}, expected a model of transformers or "
                            "sentence-transformers; choose another",
                            repo, inside(transformer, "config.json")));
  std::set<fs::path> places = ModelFiles(snapshot).modules();
  places.erase(fs::path());
  places.insert(transformer);
  FileNames wanted;
  for (const fs::path& place : places) {
    FileNames weights = weights_among(names_in_place(listed, place), snapshot / place, repo);
    if (weights.empty() && place == transformer) weights = inner_export(listed, place, repo);
    if (weights.empty() && place == transformer && adapter.empty()) refuse_without_weights(listed, repo);
    for (const std::string& name : weights) wanted.push_back(inside(place, name));
  }
  if (!adapter.empty()) wanted.push_back(adapter);
  return wanted;
}

}  // namespace mlxe
