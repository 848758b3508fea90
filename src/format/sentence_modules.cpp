#include "format/sentence_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file_errors.h"
#include "format/config.h"
#include "format/json_file.h"
#include "format/module_path.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

struct PoolingRow {
  PoolingKind kind;
  const char* spelling;  // "pooling_mode" since 5.4
  const char* flag;      // before
};
constexpr PoolingRow kPooling[] = {
    {PoolingKind::cls, "cls", "pooling_mode_cls_token"},
    {PoolingKind::max, "max", "pooling_mode_max_tokens"},
    {PoolingKind::mean, "mean", "pooling_mode_mean_tokens"},
    {PoolingKind::mean_sqrt_len, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    {PoolingKind::weighted_mean, "weightedmean", "pooling_mode_weightedmean_tokens"},
    {PoolingKind::last_token, "lasttoken", "pooling_mode_lasttoken"},
};

// Python classes of torch.nn that take no argument, by their last word.
constexpr std::pair<const char*, const char*> kActivations[] = {
    {"Tanh", "tanh"}, {"Identity", "linear"}, {"ReLU", "relu"},
    {"GELU", "gelu"}, {"Sigmoid", "sigmoid"}, {"SiLU", "silu"},
};

[[noreturn]] void unsupported(const std::string& text) {
  throw Error(ErrorCode::unsupported, text);
}
[[noreturn]] void malformed(const std::string& text) {
  throw Error(ErrorCode::format, text);
}

PoolingKind parse_pooling(const std::string& spelling, const std::string& where) {
  for (const PoolingRow& row : kPooling)
    if (spelling == row.spelling) return row.kind;
  unsupported(
      fmt::format("{}: the pooling mode {} is unknown; expected cls, max, mean, mean_sqrt_len_tokens, "
                  "weightedmean or lasttoken",
                  where, printable(spelling)));
}

class Reader {
 public:
  Reader(const fs::path& folder, const Warning& warn) : folder_(folder), warn_(warn) {}

  SentenceModules read() {
    result_.transformer = transformer_;
    read_library_config();
    read_text_config();
    if (foreign_kind_) return assume_mean(fmt::format("was saved as a {}", printable(*foreign_kind_)));
    if (!fs::exists(folder_ / "modules.json")) return assume_mean("has no modules.json");
    result_.declared = true;
    result_.files.emplace_back("modules.json");
    read_modules();
    return std::move(result_);
  }

 private:
  void tell(const std::string& sentence) const {
    if (warn_) warn_(sentence);
  }

  SentenceModules assume_mean(const std::string& reason) {
    tell(fmt::format("{}: {}; mean pooling was assumed, as sentence-transformers does", folder_.string(),
                     reason));
    result_.modules = {PoolingSpec{}};
    return std::move(result_);
  }

  std::optional<Config> config_at(const fs::path& relative) {
    if (!fs::exists(folder_ / relative)) return std::nullopt;
    result_.files.push_back(relative);
    return Config::read(folder_ / relative);
  }

  // config_sentence_transformers.json
  void read_library_config() {
    const std::optional<Config> config = config_at("config_sentence_transformers.json");
    if (!config) return;
    config->harmless({"__version__", "prompts", "default_prompt_name"});  // a null is "not given"
    const auto kind = config->get_or<std::string>("model_type", "SentenceTransformer");
    if (kind != "SentenceTransformer") foreign_kind_ = kind;
    if (config->has("prompts")) {
      const Config prompts = config->object("prompts");
      for (const auto& [name, text] : prompts.json().items())
        result_.prompts[name] = prompts.get_or<std::string>(name, "");
    }
    if (config->has("default_prompt_name")) {
      const auto name = config->get<std::string>("default_prompt_name");
      if (!result_.prompts.contains(name))
        malformed(fmt::format("{}: \"default_prompt_name\" is {}, which \"prompts\" does not have",
                              config->where(), printable(name)));
      result_.default_prompt_name = name;
    }
    const auto similarity = config->get_or<std::string>("similarity_fn_name", "cosine");
    constexpr const char* kNames[] = {"cosine", "dot", "euclidean", "manhattan"};
    const auto* found = std::find(std::begin(kNames), std::end(kNames), similarity);
    if (found == std::end(kNames))
      unsupported(
          fmt::format("{}: \"similarity_fn_name\" is {}, expected cosine, dot, euclidean or manhattan",
                      config->where(), printable(similarity)));
    result_.similarity = static_cast<Similarity>(found - std::begin(kNames));
    config->reject_unless("truncate_dim", {}, "truncating embeddings is not implemented; remove the key");
    config->warn_unknown(warn_);
  }

  // sentence_bert_config.json, or one of the names it had once
  void read_text_config() {
    std::optional<Config> config;
    for (const char* kind : {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"})
      if (config = config_at(transformer_ / fmt::format("sentence_{}_config.json", kind)); config) break;
    if (!config) return;
    if (config->has("max_seq_length")) result_.max_seq_length = config->positive("max_seq_length");
    result_.do_lower_case = config->get_or<bool>("do_lower_case", false);
    config->harmless({"unpad_inputs", "max_seq_length", "modality_config"});  // a null is "not given"
    read_task(*config);
    config->reject_unless("tokenizer_name_or_path", {}, "a tokenizer outside the folder is not read");
    config->reject_unless("processing_kwargs", {nlohmann::json::object()},
                          "tokenizer settings per call are not honoured");
    for (const char* key : {"processor_kwargs", "tokenizer_args"})
      if (config->has(key)) read_tokenizer_settings(config->object(key));
    for (const char* key : {"model_kwargs", "model_args"})
      if (config->has(key)) {
        const Config settings = config->object(key);  // how torch loads the model, not what it computes
        settings.harmless({"add_pooling_layer", "attn_implementation", "device_map", "dtype", "torch_dtype",
                           "trust_remote_code", "use_safetensors"});
        refuse_rest(settings);
      }
    for (const char* key : {"config_kwargs", "config_args"})
      if (config->has(key)) {
        const Config settings = config->object(key);
        settings.harmless({"trust_remote_code"});
        refuse_rest(settings);
      }
    config->warn_unknown(warn_);
  }

  // What the Transformer module gives to those after it.
  void read_task(const Config& config) {
    if (foreign_kind_) {  // a CrossEncoder's scores, a SparseEncoder's logits: not what is computed here
      config.harmless({"transformer_task", "module_output_name", "modality_config"});
      return;
    }
    config.reject_unless("transformer_task", {"feature-extraction"},
                         "only feature-extraction is implemented");
    config.reject_unless("module_output_name", {"token_embeddings"}, "only token_embeddings is implemented");
    if (!config.has("modality_config")) return;
    const Config modalities = config.object("modality_config");
    const Config text = modalities.object("text");
    text.reject_unless("method", {"forward"}, "only forward is implemented");
    text.reject_unless("method_output_name", {"last_hidden_state"}, "only last_hidden_state is implemented");
    text.warn_unknown(warn_);
    modalities.warn_unknown(warn_);
  }

  void read_tokenizer_settings(const Config& settings) {
    settings.harmless({"trust_remote_code", "use_fast"});
    if (settings.has("model_max_length")) result_.max_seq_length = settings.positive("model_max_length");
    refuse_rest(settings);
  }

  static void refuse_rest(const Config& settings) {
    if (const auto rest = settings.unknown_keys(); !rest.empty())
      unsupported(
          fmt::format("{}: {} is not honoured; remove it", settings.where(), printable(rest.front())));
  }

  void read_modules() {
    const std::string where = (folder_ / "modules.json").string();
    const nlohmann::json list = read_json(folder_ / "modules.json");
    if (!list.is_array())
      malformed(fmt::format("{}: found {}, expected a list of modules", where, shown(list)));
    bool transformer = false, pooled = false;
    for (size_t i = 0; i < list.size(); ++i) {
      const Config entry(list[i], fmt::format("{}: module {}", where, i));
      entry.harmless({"idx", "name", "kwargs"});
      const auto type = entry.get<std::string>("type");
      const std::string path = module_folder(entry);
      const std::string kind =
          type.starts_with("sentence_transformers.") ? type.substr(type.rfind('.') + 1) : std::string();
      entry.warn_unknown(warn_);
      if (kind == "Transformer") {
        if (transformer || i != 0)
          malformed(fmt::format("{}: a Transformer, expected it once and first", entry.where()));
        transformer = true;
      } else if (kind == "Pooling") {
        if (pooled || !transformer)
          malformed(fmt::format("{}: a Pooling, expected it once, after the Transformer", entry.where()));
        result_.modules.emplace_back(read_pooling(path));
        pooled = true;
      } else if (kind == "Dense" || kind == "Normalize") {
        if (!pooled)
          unsupported(fmt::format("{}: a {} before the Pooling is not implemented", entry.where(), kind));
        if (kind == "Dense") {
          result_.modules.emplace_back(read_dense(path));
        } else {
          result_.modules.emplace_back(NormalizeSpec{});
        }
      } else if (kind == "Dropout") {
        // does nothing outside training
      } else {
        unsupported(fmt::format(
            "{}: {} is not implemented; known are Transformer, Pooling, Dense, Normalize and Dropout",
            entry.where(), printable(type)));
      }
    }
    if (!pooled) malformed(where + ": has no Pooling after a Transformer, so there is no vector for a text");
  }

  Config module_config(const std::string& path) {
    if (auto config = config_at(fs::path(path) / "config.json")) return *config;
    throw Error(ErrorCode::not_found, fmt::format("{}: no such file; modules.json names its folder",
                                                  (folder_ / path / "config.json").string()));
  }

  PoolingSpec read_pooling(const std::string& path) {
    const Config config = module_config(path);
    PoolingSpec pooling;
    const char* dimension =
        config.has("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
    pooling.dimension = config.positive(dimension);
    config.harmless({"embedding_dimension", "word_embedding_dimension"});
    pooling.include_prompt = config.get_or<bool>("include_prompt", true);

    std::vector<PoolingKind> flagged;
    for (const PoolingRow& row : kPooling)
      if (config.get_or<bool>(row.flag, false)) flagged.push_back(row.kind);
    if (config.has("pooling_mode")) {
      pooling.kinds.clear();
      if (config.json().at("pooling_mode").is_string()) {
        pooling.kinds.push_back(parse_pooling(config.get<std::string>("pooling_mode"), config.where()));
      } else {
        for (const std::string& mode : config.get<std::vector<std::string>>("pooling_mode"))
          pooling.kinds.push_back(parse_pooling(mode, config.where()));
      }
      if (pooling.kinds.empty())
        malformed(config.where() + ": \"pooling_mode\" is empty, expected at least one mode");
      if (!flagged.empty() && flagged != pooling.kinds)
        tell(fmt::format("{}: \"pooling_mode\" and the pooling_mode_* flags differ; the first was used",
                         config.where()));
    } else if (!flagged.empty()) {
      pooling.kinds = flagged;
    } else {
      tell(fmt::format("{}: names no pooling mode; mean was assumed, as sentence-transformers does",
                       config.where()));
    }
    config.warn_unknown(warn_);
    return pooling;
  }

  DenseSpec read_dense(const std::string& path) {
    const Config config = module_config(path);
    DenseSpec dense{.folder = path,
                    .in = config.positive("in_features"),
                    .out = config.positive("out_features"),
                    .activation = {},
                    .weight = {},
                    .bias = {},
                    .file = {}};
    dense.activation = read_activation(config);
    config.reject_unless("module_input_name", {"sentence_embedding"},
                         "a Dense works on the pooled vector only");
    config.reject_unless("module_output_name", {"sentence_embedding"},
                         "a Dense works on the pooled vector only");
    const bool has_bias = config.get_or<bool>("bias", true);
    config.warn_unknown(warn_);

    const fs::path relative = fs::path(path) / "model.safetensors";
    if (!fs::exists(folder_ / relative)) {
      if (fs::exists(folder_ / path / "pytorch_model.bin"))
        unsupported(
            fmt::format("{}: only pytorch_model.bin is there; convert it to safetensors (load the model with "
                        "sentence-transformers and save it)",
                        (folder_ / path).string()));
      throw Error(ErrorCode::not_found,
                  (folder_ / relative).string() + ": no such file; the Dense module needs it");
    }
    result_.files.push_back(relative);
    dense.file = std::make_shared<SafetensorsFile>(folder_ / relative);
    dense.weight = tensor(*dense.file, path, "weight", {dense.out, dense.in});
    if (has_bias) dense.bias = tensor(*dense.file, path, "bias", {dense.out});
    for (const TensorView& view : dense.file->tensors())
      if (view.name != "linear.weight" && !(has_bias && view.name == "linear.bias"))
        malformed(fmt::format("{}: the tensor {} does not belong to a Dense module",
                              dense.file->path().string(), printable(view.name)));
    return dense;
  }

  std::string read_activation(const Config& config) {
    const auto path = config.get_or<std::string>("activation_function", "torch.nn.modules.activation.Tanh");
    if (path.starts_with("torch.nn."))
      for (const auto& [python, spelling] : kActivations)
        if (path.substr(path.rfind('.') + 1) == python) return spelling;
    unsupported(fmt::format(
        "{}: \"activation_function\" is {}; known are torch's Tanh, Identity, ReLU, GELU, Sigmoid, SiLU",
        config.where(), printable(path)));
  }

  static StoredWeight tensor(const SafetensorsFile& file, const std::string& folder, const char* part,
                             Shape shape) {
    const std::string name = fmt::format("linear.{}", part);
    const TensorView* view = file.find(name);
    if (!view) malformed(fmt::format("{}: {} is missing", file.path().string(), name));
    if (view->shape != shape || !is_float(view->dtype))
      malformed(fmt::format("{}: {} is {} {}, config.json implies a float {}", file.path().string(), name,
                            mlxe::name(view->dtype), to_string(view->shape), to_string(shape)));
    return {.name = fmt::format("{}/{}", folder, name),
            .scheme = {.mode = Mode::none, .dtype = view->dtype},
            .shape = std::move(shape),
            .dtype = view->dtype,
            .codes = view->data,
            .scales = {},
            .biases = {}};
  }

  const fs::path& folder_;
  const fs::path transformer_ = transformer_path(folder_);  // relative to it
  const Warning& warn_;
  SentenceModules result_;
  std::optional<std::string> foreign_kind_;
};

}  // namespace

SentenceModules read_sentence_modules(const fs::path& folder, const Warning& warn) {
  return with_file_errors([&] { return Reader(folder, warn).read(); });
}

}  // namespace mlxe
