#include "convert/carried_files.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/mapped_file.h"
#include "base/output_file.h"
#include "format/adapted_folder.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWrittenAnew[] = {"config.json", "README.md", kProvenanceFile,
                                        kGoldenFile,   kRecipeFile, kParetoFile};

bool is_one_of(const std::string& name, std::span<const char* const> list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool belongs(const std::string& name) {
  if (name.ends_with(".index.json")) return false;
  for (const char* ending : {".json", ".txt", ".model", ".jinja"})
    if (name.ends_with(ending)) return true;
  for (const char* beginning : {"LICENSE", "LICENCE", "NOTICE", "COPYING"})
    if (name.starts_with(beginning)) return true;
  return false;
}

bool is_weights(const std::string& name, const std::vector<CheckpointFile>& weights) {
  return (name.starts_with("model") && name.ends_with(".safetensors")) || name.ends_with(".index.json") ||
         std::ranges::any_of(weights,
                             [&](const CheckpointFile& file) { return file.path.filename() == name; });
}

}  // namespace

CarriedFiles find_carried_files(const fs::path& folder, const SentenceModules& sentence,
                                const std::vector<CheckpointFile>& weights) {
  CarriedFiles result;
  const fs::path& transformer = sentence.transformer;
  std::set<CarriedFile> carried;
  std::set<fs::path> known;  // files and folders that hold what is carried
  const auto add = [&](const fs::path& file) {
    const bool moves = !transformer.empty() && file.parent_path() == transformer.lexically_normal();
    carried.insert({file, moves ? file.filename() : file});
  };
  for (const fs::path& file : sentence.files) {
    if (transformer.empty() || file != "modules.json") add(file);  // else it is written anew
    known.insert(*file.begin());
  }
  if (!transformer.empty()) known.insert(*transformer.begin());
  const auto look_through = [&](const fs::path& inner) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / inner)) {
      const fs::path path = inner / entry.path().filename();
      const std::string name = path.filename().string();
      if (is_one_of(name, kWrittenAnew) || name.starts_with(".") || name.starts_with(kAdapterFolder))
        continue;
      if (!transformer.empty() && path == "modules.json") continue;
      if (entry.is_regular_file() && belongs(name)) {
        add(path);
      } else if (!known.contains(path) && !is_weights(name, weights)) {
        result.left_behind.push_back(path);
      }
    }
  };
  look_through({});
  if (!transformer.empty()) look_through(transformer);
  result.carried.assign(carried.begin(), carried.end());
  std::sort(result.left_behind.begin(), result.left_behind.end());
  return result;
}

void copy_files(const fs::path& from, const fs::path& to, const std::vector<CarriedFile>& files) {
  for (const CarriedFile& file : files) {
    fs::create_directories((to / file.to).parent_path());
    const MappedFile source(from / file.from);
    OutputFile copy(to / file.to, source.bytes().size(), Placement::fresh);
    copy.write(source.bytes());
    copy.finish();
  }
}

}  // namespace mlxe
