#include "convert/loader_compatibility.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "base/wording.h"
#include "convert/mlx_embeddings_judge.h"
#include "convert/mlx_file_problems.h"
#include "convert/mlx_lm_judge.h"
#include "convert/swift_embedders.h"
#include "convert/weight_components.h"
#include "encoder/model_loader.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kOwn = "mlx-encoder";
constexpr const char* kMlxLmLayout = "mlx-lm layout";

ReaderVerdict verdict(const char* reader, std::vector<std::string> why) {
  return {reader, why.empty(), std::move(why), ""};
}

ReaderVerdict judge_own(const fs::path& folder, const FolderTokenizer& tokenizer) {
  try {
    tokenizer.require_unbroken();
    load_as_a_run(folder);
    return verdict(kOwn, tokenizer.why.empty() ? std::vector<std::string>{} : std::vector{tokenizer.why});
  } catch (const Error& error) {
    return verdict(kOwn, {error.what()});
  }
}

// Requirements of mlx_lm.utils.load_model and similar loaders, for any architecture.
ReaderVerdict judge_mlx_lm_layout(const Checkpoint& checkpoint) {
  std::vector<std::string> why = unnoticed_files(checkpoint);
  bool mlx = false, own = false;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    mlx |= tensor.role == TensorRole::weight && tensor.view.dtype == Dtype::u32;
    own |= tensor.role == TensorRole::weight && tensor.view.dtype == Dtype::i8;
  }
  if (const std::string f64 = f64_tensors(checkpoint); !f64.empty()) why.push_back(f64);
  if (own) why.push_back("int8 tensors are this project's own format");
  if (mlx && !checkpoint.config().has("quantization")) why.push_back("config.json has no \"quantization\"");
  for (const std::string& name : checkpoint.weight_names()) try {
      (void)checkpoint.stored(name);
    } catch (const Error& error) {
      why.push_back(error.what());
    }
  const fs::path index = checkpoint.transformer_folder() / "model.safetensors.index.json";
  if (fs::exists(index)) {
    const nlohmann::json written = read_json(index);
    std::set<std::string> files, named;
    for (const CheckpointFile& file : checkpoint.files()) files.insert(file.path.filename().string());
    if (const auto map = written.find("weight_map"); map != written.end() && map->is_object())
      for (const auto& [tensor, file] : map->items())
        if (file.is_string()) named.insert(file.get<std::string>());
    if (files != named)
      why.push_back("model.safetensors.index.json names other files than those that are there");
  }
  return verdict(kMlxLmLayout, std::move(why));
}

}  // namespace

void require_mlx_embeddings_loads(const fs::path& written, const FolderTokenizer& tokenizer,
                                  const fs::path& output) {
  Checkpoint checkpoint = Checkpoint::open(written);
  const ReaderVerdict found = judge_mlx_embeddings(checkpoint, tokenizer).front();  // of the released version
  if (!found.loads)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: mlx-embeddings would not load it: {}; nothing was kept: use --layout hf",
                            output.string(), listed(found.why, kListedTensors, "; ")));
}

std::vector<ReaderVerdict> judge_loaders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer) {
  std::vector<ReaderVerdict> verdicts{judge_own(checkpoint.folder(), tokenizer)};
  for (ReaderVerdict& of_a_version : judge_mlx_embeddings(checkpoint, tokenizer))
    verdicts.push_back(std::move(of_a_version));
  verdicts.push_back(judge_swift_embedders(checkpoint, tokenizer));
  verdicts.push_back(judge_mlx_lm(checkpoint));
  verdicts.push_back(judge_mlx_lm_layout(checkpoint));
  return verdicts;
}

void load_as_a_run(const fs::path& folder) {
  LoadedModel loaded = load_model(folder, {});
  const std::unique_ptr<Engine> engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
}

}  // namespace mlxe
