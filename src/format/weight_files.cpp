#include "format/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/wording.h"
#include "format/adapter_config.h"
#include "format/gguf_folder.h"
#include "format/gguf_weights.h"
#include "format/json_file.h"
#include "format/npz_file.h"
#include "format/onnx_file.h"
#include "format/safetensors.h"
#include "format/torch_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr SelfDescription kGgufDescription{describe_gguf, require_gguf_agrees};

// As transformers prefers them, exports last. Files of other names beginning with "model" are those of MLX's loaders, and what
// training scripts write ("model.pt").
constexpr WeightFormat kFormats[] = {
    {"model.safetensors",
     {"model", "model"},
     {".safetensors", ".safetensors", ".safetensors"},
     parse_safetensors},
    {"pytorch_model.bin", {"pytorch_model", "model"}, {".bin", ".pt", ".pth"}, parse_torch},
    // Of MLX's older examples, which number shards without a count: weights.00.npz.
    {"weights.npz", {"weights", "model"}, {".npz", ".npz", ".npz"}, parse_npz},
    {.single = "model.onnx",
     .beginnings = {"model", "encoder_model"},
     .endings = {".onnx", ".onnx", ".onnx"},
     .parse = parse_onnx,
     .subfolder = "onnx",
     .is_export = true},
    {.single = "model.gguf",
     .beginnings = {"model", "model"},
     .endings = {".gguf", ".gguf", ".gguf"},
     .parse = parse_gguf,
     .description = &kGgufDescription},
};
// Endings of weights that are not read, and what writes them.
constexpr std::pair<std::string_view, const char*> kOtherFormats[] = {
    {".h5", "TensorFlow"},
    {".msgpack", "Flax"},
    {".ot", "Rust"},
    {".ckpt", "a training script"},
};
constexpr size_t kListed = 5;
constexpr size_t kCompared = 4096;  // bytes of a tensor that tell two files apart

using Index = std::map<std::string, std::string>;

// The first few names, quoted.
std::string quoted(std::span<const std::string> names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(printable(name));
  return listed(shown, kListed);
}

// "a, b and c".
std::string listed_all(const std::vector<std::string>& names, const char* before_last) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? before_last : ", ") + names[i];
  return text;
}

void tell(const Warning& warn, const std::string& sentence) {
  if (warn) warn(sentence);
}

// The names in the folder itself, sorted.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// "model-00002-of-00003.safetensors" -> {2, 3}; {0, 0} for any other name.
std::pair<int, int> shard_number(const std::string& name) {
  int number = 0, count = 0, end = 0;
  const size_t dash = name.find('-');
  if (dash != name.npos && std::sscanf(name.c_str() + dash, "-%5d-of-%5d.%n", &number, &count, &end) == 2 &&
      end > 0 && name.find_first_of("-.", dash + static_cast<size_t>(end)) == name.npos)
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
  std::vector<std::string> others, makers;
  for (const fs::path& inner : {folder, folder / "onnx"}) {
    std::error_code none;
    for (fs::directory_iterator entry(inner, none), end; !none && entry != end; entry.increment(none))
      for (const auto& [ending, maker] : kOtherFormats)
        if (entry->path().filename().string().ends_with(ending)) {
          others.push_back(entry->path().lexically_relative(folder).string());
          makers.emplace_back(maker);
        }
  }
  for (const char* adapter : {"adapter_model.safetensors", "adapter_model.bin", "adapter_config.json"})
    if (fs::exists(folder / adapter)) refuse_adapter_alone(folder);
  for (const WeightFormat& format : kFormats)
    for (const std::string& name : format.description ? names_in(folder) : std::vector<std::string>())
      if (name.ends_with(format.endings[0]))
        throw Error(ErrorCode::not_found,
                    fmt::format("{}: the only weights are {}; name that file instead of the folder",
                                folder.string(), printable(name)));
  std::vector<std::string> read;
  for (const WeightFormat& format : kFormats) read.emplace_back(format.single);
  if (!others.empty()) {
    const auto first = std::min_element(others.begin(), others.end());
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the only weights are {}, of {}; {} are read: load the model with transformers and "
                    "call save_pretrained",
                    folder.string(), printable(*first), makers[static_cast<size_t>(first - others.begin())],
                    listed_all(read, " and ")));
  }
  throw Error(ErrorCode::not_found,
              fmt::format("{}: no weights; expected {}, or shards with {}", folder.string(),
                          listed_all(read, " or "), kFormats[0].index()));
}

WeightFiles open_all(const fs::path& folder, const WeightFormat& format,
                     const std::vector<std::string>& names, const Warning& warn) {
  WeightFiles result;
  std::unordered_map<std::string, size_t> seen;
  for (const std::string& name : names) {
    const size_t f = result.files.size();
    const TensorFile& file = result.files.emplace_back(folder / name, *format.parse);
    for (const std::string& warning : file.warnings()) tell(warn, warning);
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

// Reads the one export in a folder with these files. The other files are the same model in other forms.
WeightFiles open_export(const fs::path& folder, const WeightFormat& format,
                        const std::vector<std::string>& names, const Warning& warn) {
  const std::string chosen = find_export(format, names);
  if (chosen.empty()) {
    std::vector<std::string> exports;
    std::ranges::copy_if(names, std::back_inserter(exports),
                         [&](const std::string& name) { return format.is_weights(name); });
    throw Error(ErrorCode::usage,
                fmt::format("{}: {} are exports, and none is {}; give the path of one of them",
                            folder.string(), quoted(exports), format.single));
  }
  if (chosen != format.single)
    tell(warn, fmt::format("{}: no {}; used {}", folder.string(), format.single, printable(chosen)));
  return open_all(folder, format, {chosen}, warn);
}

// Compares the index with the tensors in the files.
void check_index(const fs::path& index_file, const Index& index, const WeightFiles& opened,
                 const Warning& warn) {
  std::vector<std::string> missing, misplaced, unlisted;
  std::unordered_map<std::string, std::string> actual;
  for (const WeightFiles::Location& at : opened.tensors) {
    const TensorFile& file = opened.files[at.file];
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
  const std::string where = index_file.string();
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

// Which tensor tells the two apart, in the first bytes of those that both have; empty if none does.
std::string difference(const WeightFiles& opened, const TensorFile& other) {
  for (const WeightFiles::Location& at : opened.tensors) {
    const TensorView& a = opened.files[at.file].tensors()[at.tensor];
    const TensorView* b = other.find(a.name);
    if (b && (a.dtype != b->dtype || a.shape != b->shape ||
              !std::ranges::equal(a.data.first(std::min(a.data.size(), kCompared)),
                                  b->data.first(std::min(b->data.size(), kCompared)))))
      return a.name;
  }
  return {};
}

// Says if the folder holds other weights in a format that is not read. (Most repositories hold the same weights in
// several formats.)
void compare_formats(const fs::path& folder, const WeightFormat& format, const WeightFiles& opened,
                     const Warning& warn) {
  for (const WeightFormat& other : kFormats) {
    // Those of other makers are usually quantized, and so not the same values.
    if (!warn || &other == &format || other.is_export || other.description ||
        !fs::exists(folder / other.single))
      continue;
    try {
      const TensorFile file(folder / other.single, *other.parse);
      if (const std::string tensor = difference(opened, file); !tensor.empty())
        warn(fmt::format(
            "{}: {} and {} are not the same weights ({} differs); the first is read, as in transformers",
            folder.string(), opened.files[0].path().filename().string(), other.single, printable(tensor)));
    } catch (const Error&) {  // a file that is not needed
    }
  }
}

}  // namespace

bool WeightFormat::is_weights(std::string_view file_name) const {
  const auto begins = [&](std::string_view beginning) { return file_name.starts_with(beginning); };
  const auto ends = [&](std::string_view ending) { return file_name.ends_with(ending); };
  return std::ranges::any_of(beginnings, begins) && std::ranges::any_of(endings, ends);
}

std::span<const WeightFormat> weight_formats() noexcept {
  return kFormats;
}

const WeightFormat* find_single_file(const fs::path& folder) {
  const auto found = std::ranges::find_if(kFormats, [&](const WeightFormat& format) {
    return !format.is_export && fs::exists(folder / format.single);
  });
  return found == std::end(kFormats) ? nullptr : found;
}

Index parse_weight_index(std::string_view text, const WeightFormat& format, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object())
    throw Error(ErrorCode::format, where + ": has no \"weight_map\" object; not an index of weights");
  if (map->empty()) throw Error(ErrorCode::format, where + ": \"weight_map\" is empty");
  Index index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      throw Error(ErrorCode::format, fmt::format("{}: {} is in {}, expected a file name", where,
                                                 printable(tensor), shown(file)));
    const auto& name = file.get_ref<const std::string&>();
    // Only file names of the same folder: an index must not cause other files to be opened.
    const std::string_view ending = format.endings[0];
    if (name.empty() || name.find_first_of(std::string_view("/\\\0", 3)) != name.npos ||
        !name.ends_with(ending) || name.size() == ending.size())
      throw Error(ErrorCode::format,
                  fmt::format("{}: {} is in {}, expected the name of a {} file in this folder", where,
                              printable(tensor), printable(name), ending));
    index.emplace(tensor, name);
  }
  return index;
}

const WeightFormat* find_weight_format(std::span<const std::string> names) {
  const auto has = [&](std::string_view name) { return std::ranges::find(names, name) != names.end(); };
  for (const WeightFormat& format : kFormats)
    if (!format.is_export && (has(format.single) || has(format.index()))) return &format;
  for (const bool is_export : {false, true})
    for (const WeightFormat& format : kFormats)
      if (format.is_export == is_export &&
          std::ranges::any_of(names, [&](const std::string& name) { return format.is_weights(name); }))
        return &format;
  return nullptr;
}

std::string find_export(const WeightFormat& format, std::span<const std::string> names) {
  if (std::ranges::find(names, format.single) != names.end()) return format.single;
  const auto is_weights = [&](const std::string& name) { return format.is_weights(name); };
  return std::ranges::count_if(names, is_weights) == 1 ? *std::ranges::find_if(names, is_weights)
                                                       : std::string();
}

bool is_foreign_weight_file(std::string_view name) {
  const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
  return std::ranges::any_of(kOtherFormats, [&](const auto& other) { return ends(other.first); }) ||
         std::ranges::any_of(kFormats, [&](const WeightFormat& format) {
           return format.description && ends(format.endings[0]);
         });
}

WeightFiles open_weight_files(const fs::path& folder, const Warning& warn) {
  std::vector<std::string> present = names_in(folder);
  const WeightFormat* found = find_weight_format(present);
  if (found == nullptr) {
    for (const WeightFormat& format : kFormats)
      if (const fs::path inner = folder / format.subfolder; *format.subfolder && fs::is_directory(inner))
        if (const std::vector<std::string> names = names_in(inner); find_weight_format(names) == &format)
          return open_export(inner, format, names, warn);
    nothing_found(folder);
  }
  const WeightFormat& format = *found;
  if (format.is_export) return open_export(folder, format, present, warn);
  std::erase_if(present, [&](const std::string& name) { return !format.is_weights(name); });
  const fs::path index_file = folder / format.index();
  Index index;
  std::set<std::string> shards;
  if (fs::exists(index_file)) {
    const MappedFile file(index_file);
    index = parse_weight_index({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                               format, index_file.string());
    for (const auto& [tensor, name] : index) shards.insert(name);
  }

  std::vector<std::string> names(shards.begin(), shards.end());
  if (fs::exists(folder / format.single) && !shards.contains(format.single)) {
    if (!shards.empty())
      tell(warn, fmt::format("{}: names {} but {} is there; the index was ignored and {} used",
                             index_file.string(), quoted(names), format.single, format.single));
    names = {format.single};
    index.clear();
  } else if (names.empty()) {
    require_complete(folder, present);
    names = present;
    tell(warn, fmt::format("{}: no {}; used {}", folder.string(), format.index(), quoted(names)));
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
                                                  folder.string(), quoted(absent), format.index()));
  if (const fs::path config = folder / "config.json"; format.description && fs::exists(config))
    format.description->require_agreement(folder / names.front(), config);
  WeightFiles opened = open_all(folder, format, names, warn);
  if (!index.empty()) check_index(index_file, index, opened, warn);
  compare_formats(folder, format, opened, warn);
  return opened;
}

}  // namespace mlxe
