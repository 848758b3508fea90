#include "format/gguf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "format/gguf_config.h"
#include "format/gguf_file.h"
#include "format/gguf_tokenizer.h"
#include "format/gguf_weights.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr size_t kMostKeys = 6;  // in a message

// Keys that change no vector: where the model is from, text generation, how the file came about. A key belongs to these if
// it begins so.
constexpr std::string_view kOfNoEffect[] = {
    "general.",
    "tokenizer.chat_template",
    "quantize.",
    "imatrix.",
    "split.",
    "tokenizer.ggml.fim_",
    "tokenizer.ggml.prefix_token_id",
    "tokenizer.ggml.suffix_token_id",
    "tokenizer.ggml.middle_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.add_sep_token"};  // between the texts of a pair, which follows from the kind of tokenizer

void warn_unused(const GgufFile& file, const Warning& warn) {
  std::vector<std::string> unused;
  for (const std::string_view key : file.unused_keys())
    if (std::ranges::none_of(kOfNoEffect, [&](std::string_view begin) { return key.starts_with(begin); }))
      unused.push_back(printable(key));
  if (warn && !unused.empty())
    warn(fmt::format("{}: {} not read: {}", file.where, unused.size() == 1 ? "a key is" : "keys are",
                     listed(unused, kMostKeys)));
}

void write_json(const fs::path& path, const json& value) {
  fs::create_directories(path.parent_path());
  write_whole_file(path, value.dump(2) + "\n", Placement::fresh);
}

void write_tokenizer(const GgufFile& file, const fs::path& beside, const fs::path& folder,
                     const Warning& warn) {
  try {
    const GgufTokenizer made = gguf_tokenizer(file, warn);
    write_json(folder / "tokenizer.json", made.json);
    write_json(folder / "tokenizer_config.json", made.config);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    if (!fs::exists(beside / "tokenizer.json"))
      throw Error(error.code(),
                  fmt::format("{}; put the original's tokenizer.json beside the file", error.what()));
    if (warn) warn(fmt::format("{}; the tokenizer.json beside it is used", error.what()));
    for (const auto& [key, value] : file.values)
      if (key.starts_with("tokenizer.")) file.find(key);  // nothing of it has an effect now
    for (const char* name :
         {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
      if (fs::exists(beside / name)) fs::create_symlink(beside / name, folder / name);
  }
}

// A module of a text's vector: a matrix in the file, [out, in].
bool write_dense(const GgufFile& file, const char* tensor, const fs::path& folder) {
  const GgufTensor* found = file.find_tensor(tensor);
  if (found == nullptr) return false;
  if (found->shape.size() != 2)
    file.malformed(fmt::format("\"{}\" is {}, expected rows and columns", tensor, to_string(found->shape)));
  write_json(folder / "config.json", {{"in_features", found->shape[1]},
                                      {"out_features", found->shape[0]},
                                      {"bias", false},
                                      {"activation_function", "torch.nn.modules.linear.Identity"}});
  const std::vector<float> values = gguf_floats(file, *found);
  SafetensorsWriter writer(folder / "model.safetensors", {{"linear.weight", Dtype::f32, found->shape}},
                           {{"format", "pt"}}, Placement::fresh);
  writer.write("linear.weight", std::as_bytes(std::span(values)));
  writer.finish();
  return true;
}

// None if the file states no pooling: then one is assumed, which is said.
void write_modules(const GgufFile& file, const fs::path& folder) {
  const auto pooling = gguf_pooling(file);
  if (!pooling || *pooling == GgufPooling::none || *pooling == GgufPooling::rank) return;
  if (const auto context = gguf_context(file); context && *context > 0)
    write_json(folder / "sentence_bert_config.json",
               {{"max_seq_length", *context}, {"do_lower_case", false}});
  json modules = json::array();
  const auto add = [&](const std::string& path, const char* kind) {
    modules.push_back({{"idx", modules.size()},
                       {"name", std::to_string(modules.size())},
                       {"path", path},
                       {"type", fmt::format("sentence_transformers.models.{}", kind)}});
  };
  add("", "Transformer");
  add("1_Pooling", "Pooling");
  write_json(
      folder / "1_Pooling/config.json",
      {{"word_embedding_dimension", file.integer(file.architecture() + ".embedding_length").value_or(0)},
       {"pooling_mode_cls_token", *pooling == GgufPooling::cls},
       {"pooling_mode_mean_tokens", *pooling == GgufPooling::mean},
       {"pooling_mode_max_tokens", false},
       {"pooling_mode_mean_sqrt_len_tokens", false},
       {"pooling_mode_weightedmean_tokens", false},
       {"pooling_mode_lasttoken", *pooling == GgufPooling::last},
       {"include_prompt", true}});
  for (const char* name : {"2", "3"})
    if (const std::string path = fmt::format("{}_Dense", name);
        write_dense(file, fmt::format("dense_{}.weight", name).c_str(), folder / path))
      add(path, "Dense");
  add(fmt::format("{}_Normalize", modules.size()), "Normalize");
  write_json(folder / "modules.json", modules);
}

// The file has float32 values.
bool same_value(const json& a, const json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  return static_cast<float>(a.get<double>()) == static_cast<float>(b.get<double>());
}

// The converter cuts lengths to those that a model was trained for and leaves out rows; an output layer is no part of an
// encoder.
constexpr std::string_view kMayDiffer[] = {"max_position_embeddings", "n_positions", "tie_word_embeddings"};

std::string type_of(const json& config) {
  std::string type =
      config.contains("model_type") && config["model_type"].is_string() ? config["model_type"] : "";
  std::ranges::replace(type, '_', '-');
  return type == "camembert" ? "roberta" : type;
}

}  // namespace

void describe_gguf(const fs::path& path, const fs::path& folder, const Warning& warn) {
  const MappedFile mapped(path);
  const GgufFile file = GgufFile::parse(mapped.bytes(), path.string());
  write_json(folder / "config.json", gguf_config(file));
  write_tokenizer(file, path.parent_path(), folder, warn);
  write_modules(file, folder);
  for (const char* key : {"classifier.output_labels", "classifier.pooling_type", "dense_2_feat_in",
                          "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out"})
    file.find(fmt::format("{}.{}", file.architecture(), key));  // of a head, or what its tensors say
  warn_unused(file, warn);
}

void require_gguf_agrees(const fs::path& path, const fs::path& config_file) {
  const MappedFile mapped(path);
  const GgufFile file = GgufFile::parse(mapped.bytes(), path.string());
  const json own = gguf_config(file), config = read_json(config_file);
  if (!config.is_object()) return;  // its reader says so
  if (type_of(own) != type_of(config))
    file.malformed(
        fmt::format("holds a {}, but {} says {}; move the file away from that folder to read it alone",
                    own["model_type"].get<std::string>(), config_file.string(), printable(type_of(config))));
  for (const auto& [key, value] : own.items())
    if ((value.is_number() || value.is_boolean()) &&
        std::ranges::find(kMayDiffer, key) == std::end(kMayDiffer) && config.contains(key) &&
        (config[key].is_number() || config[key].is_boolean()) && !same_value(value, config[key]))
      file.malformed(fmt::format("says \"{}\" {}, but {} says {}; they are not of one model", key,
                                 value.dump(), config_file.string(), shown(config[key])));
}

}  // namespace mlxe
