#include "convert/carried_files.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/mapped_file.h"
#include "encoder/text_runner.h"
#include "format/output_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWrittenAnew[] = {"config.json", "README.md", "mlx_encoder.json", kRecipeFile,
                                        kParetoFile};

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

bool is_weights(const std::string& name) {
  return (name.starts_with("model") && name.ends_with(".safetensors")) || name.ends_with(".index.json");
}

}  // namespace

CarriedFiles find_carried_files(const fs::path& folder, const SentenceModules& sentence) {
  CarriedFiles result;
  std::set<fs::path> carried(sentence.files.begin(), sentence.files.end());
  std::set<fs::path> module_folders;
  for (const fs::path& file : sentence.files)
    if (file.has_parent_path()) module_folders.insert(*file.begin());
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path path = entry.path().filename();
    const std::string name = path.string();
    if (is_one_of(name, kWrittenAnew) || name.starts_with(".")) continue;
    if (entry.is_regular_file() && belongs(name)) {
      carried.insert(path);
    } else if (!module_folders.contains(path) && !carried.contains(path) && !is_weights(name)) {
      result.left_behind.push_back(path);
    }
  }
  result.carried.assign(carried.begin(), carried.end());
  std::sort(result.left_behind.begin(), result.left_behind.end());
  return result;
}

CarriedTokenizer load_carried_tokenizer(const fs::path& folder) try {
  Tokenizer::load(folder, {});
  return {};
} catch (const Error& error) {
  using State = CarriedTokenizer::State;
  if (error.code() == ErrorCode::not_found) return {State::none, error.what()};
  if (error.code() == ErrorCode::unsupported && !fs::exists(folder / "tokenizer.json"))
    return {State::foreign, error.what()};
  throw;
}

void load_as_a_run(const fs::path& folder, const CarriedTokenizer& tokenizer) {
  if (tokenizer.state == CarriedTokenizer::State::loads) {
    const TextRunner runner(folder,
                            {.engine = EngineKind::cpu, .activations = Activations::float32, .threads = 1});
    return;
  }
  LoadedModel loaded = load_model(folder, {});
  const std::unique_ptr<Engine> engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
}

void copy_files(const fs::path& from, const fs::path& to, const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    fs::create_directories((to / file).parent_path());
    const MappedFile source(from / file);
    OutputFile copy(to / file, source.bytes().size());
    copy.write(source.bytes());
    copy.finish();
  }
}

}  // namespace mlxe
