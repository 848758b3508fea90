#include "format/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/wording.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::string_view kExtension = ".safetensors";
constexpr size_t kListed = 5;

using Index = std::map<std::string, std::string>;

// The first few names, quoted.
std::string quoted(std::span<const std::string> names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(printable(name));
  return listed(shown, kListed);
}

void tell(const Warning& warn, const std::string& sentence) {
  if (warn) warn(sentence);
}

// model*.safetensors of the folder itself, sorted: the files that MLX's loaders read.
std::vector<std::string> weight_file_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// "model-00002-of-00003.safetensors" -> {2, 3}; {0, 0} for any other name.
std::pair<int, int> shard_number(const std::string& name) {
  int number = 0, count = 0, end = 0;
  if (std::sscanf(name.c_str(), "model-%5d-of-%5d.safetensors%n", &number, &count, &end) == 2 &&
      end == static_cast<int>(name.size()))
    return {number, count};
  return {0, 0};
}

void require_complete(const fs::path& folder, const std::vector<std::string>& names) {
  std::map<int, std::set<int>> sets;  // shard count -> the numbers present
  for (const std::string& name : names)
    if (const auto [number, count] = shard_number(name); count > 0) sets[count].insert(number);
  for (const auto& [count, numbers] : sets)
    for (int i = 1; i <= count; ++i)
      if (!numbers.contains(i))
        throw Error(ErrorCode::not_found,
                    fmt::format("{}: shard {} of {} is missing; is the download complete?", folder.string(),
                                i, count));
}

[[noreturn]] void nothing_found(const fs::path& folder) {
  for (const char* other :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"})
    if (fs::exists(folder / other))
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: only {} is there; convert it to safetensors (load it with transformers and call "
                      "save_pretrained)",
                      folder.string(), other));
  for (const char* adapter : {"adapter_model.safetensors", "adapter_model.bin", "adapter_config.json"})
    if (fs::exists(folder / adapter))
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: holds an adapter ({}), not a model; merge it into its base model first",
                              folder.string(), adapter));
  throw Error(
      ErrorCode::not_found,
      fmt::format("{}: no weights; expected model.safetensors or shards with {}", folder.string(), kIndex));
}

WeightFiles open_all(const fs::path& folder, const std::vector<std::string>& names) {
  WeightFiles result;
  std::unordered_map<std::string, size_t> seen;
  for (const std::string& name : names) {
    const size_t f = result.files.size();
    const SafetensorsFile& file = result.files.emplace_back(folder / name);
    for (size_t t = 0; t < file.tensors().size(); ++t) {
      const auto [it, added] = seen.emplace(file.tensors()[t].name, f);
      if (!added)
        throw Error(ErrorCode::format,
                    fmt::format("{}: the tensor {} is in both {} and {}; remove one", folder.string(),
                                printable(it->first), names[it->second], name));
      result.tensors.push_back({f, t});
    }
  }
  return result;
}

// Compares the index with the tensors in the files.
void check_index(const fs::path& folder, const Index& index, const WeightFiles& opened, const Warning& warn) {
  std::vector<std::string> missing, misplaced, unlisted;
  std::unordered_map<std::string, std::string> actual;
  for (const WeightFiles::Location& at : opened.tensors) {
    const SafetensorsFile& file = opened.files[at.file];
    const std::string& name = file.tensors()[at.tensor].name;
    actual.emplace(name, file.path().filename().string());
    if (!index.contains(name)) unlisted.push_back(name);
  }
  for (const auto& [name, file] : index) {
    const auto it = actual.find(name);
    if (it == actual.end()) {
      missing.push_back(name);
    } else if (it->second != file) {
      misplaced.push_back(name);
    }
  }
  const std::string where = (folder / kIndex).string();
  if (opened.files.size() ==
      1) {  // with one file the index is not needed; the loader checks the file against the model
    if (!missing.empty() || !unlisted.empty())
      tell(warn, fmt::format(
                     "{}: does not list what {} holds ({} tensors missing from the file, {} not listed); the "
                     "index was ignored",
                     where, opened.files[0].path().filename().string(), missing.size(), unlisted.size()));
    return;
  }
  if (!missing.empty())
    throw Error(ErrorCode::format,
                fmt::format("{}: names tensors that no shard holds: {}", where, quoted(missing)));
  if (!misplaced.empty())
    tell(warn, fmt::format("{}: places {} in the wrong shard; found in another", where, quoted(misplaced)));
  if (!unlisted.empty())
    tell(warn, fmt::format("{}: does not list {}, which the shards hold", where, quoted(unlisted)));
}

}  // namespace

Index parse_weight_index(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object())
    throw Error(ErrorCode::format, where + ": has no \"weight_map\" object; not a safetensors index");
  if (map->empty()) throw Error(ErrorCode::format, where + ": \"weight_map\" is empty");
  Index index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      throw Error(ErrorCode::format, fmt::format("{}: {} is in {}, expected a file name", where,
                                                 printable(tensor), shown(file)));
    const auto& name = file.get_ref<const std::string&>();
    // Only file names of the same folder: an index must not cause other files to be opened.
    if (name.empty() || name.find_first_of(std::string_view("/\\\0", 3)) != name.npos ||
        !name.ends_with(kExtension) || name.size() == kExtension.size())
      throw Error(ErrorCode::format,
                  fmt::format("{}: {} is in {}, expected the name of a .safetensors file in this folder",
                              where, printable(tensor), printable(name)));
    index.emplace(tensor, name);
  }
  return index;
}

WeightFiles open_weight_files(const fs::path& folder, const Warning& warn) {
  const std::vector<std::string> present = weight_file_names(folder);
  const bool single = fs::exists(folder / kSingle);
  Index index;
  std::set<std::string> shards;
  if (fs::exists(folder / kIndex)) {
    const MappedFile file(folder / kIndex);
    index = parse_weight_index({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                               (folder / kIndex).string());
    for (const auto& [tensor, name] : index) shards.insert(name);
  }

  std::vector<std::string> names(shards.begin(), shards.end());
  if (single && !shards.contains(kSingle)) {
    if (!shards.empty())
      tell(warn, fmt::format("{}: names {} but {} is there; the index was ignored and {} used",
                             (folder / kIndex).string(), quoted(names), kSingle, kSingle));
    names = {kSingle};
    index.clear();
  } else if (names.empty()) {
    if (present.empty()) nothing_found(folder);
    require_complete(folder, present);
    names = present;
    tell(warn, fmt::format("{}: no {}; used {}", folder.string(), kIndex, quoted(names)));
  }
  std::vector<std::string> passed_over;
  std::set_difference(present.begin(), present.end(), names.begin(), names.end(),
                      std::back_inserter(passed_over));
  if (!passed_over.empty()) tell(warn, fmt::format("{}: {} not used", folder.string(), quoted(passed_over)));

  std::vector<std::string> absent;
  for (const std::string& name : names)
    if (!fs::exists(folder / name)) absent.push_back(name);
  if (!absent.empty())
    throw Error(ErrorCode::not_found, fmt::format("{}: {} named by {} missing; is the download complete?",
                                                  folder.string(), quoted(absent), kIndex));
  WeightFiles opened = open_all(folder, names);
  if (!index.empty()) check_index(folder, index, opened, warn);
  return opened;
}

}  // namespace mlxe
