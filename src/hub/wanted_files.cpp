#include "hub/wanted_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/whole_file.h"
#include "base/wording.h"
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

// As open_weight_files finds them in a folder with these files. Empty if there are none.
FileNames weights_among(const FileNames& names, const fs::path& folder, const std::string& repo) {
  const auto has = [&](const std::string& name) { return std::ranges::find(names, name) != names.end(); };
  const WeightFormat* format = find_weight_format(names);
  if (format == nullptr) return {};
  if (has(format->single)) return {format->single};
  FileNames wanted;
  if (!has(format->index)) {
    std::ranges::copy_if(names, std::back_inserter(wanted),
                         [&](const std::string& name) { return format->is_weights(name); });
    return wanted;
  }
  wanted.emplace_back(format->index);
  if (!fs::exists(folder / format->index)) return wanted;
  for (const std::string& shard : shards_of(folder / format->index, *format)) {
    if (!has(shard))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: {} names {}, which the repository does not have; choose another revision",
                              repo, format->index, printable(shard)));
    wanted.push_back(shard);
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
  const fs::path transformer = transformer_path(snapshot);
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
    const FileNames weights = weights_among(names_in_place(listed, place), snapshot / place, repo);
    if (weights.empty() && place == transformer) refuse_without_weights(listed, repo);
    for (const std::string& name : weights) wanted.push_back(inside(place, name));
  }
  return wanted;
}

}  // namespace mlxe
