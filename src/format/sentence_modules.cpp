#include "format/sentence_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file_errors.h"
#include "base/wording.h"
#include "format/config.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/module_files.h"
#include "format/module_path.h"
#include "format/static_embedding.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char *kSparseEncoder = "SparseEncoder", *kColbert = "ColBERT", *kMaxSim = "MaxSim";
constexpr std::array kSimilarities{"cosine", "dot", "euclidean", "manhattan"};  // in the order of Similarity

class SentenceReader {
 public:
  SentenceReader(const fs::path& folder, const Warning& warn, ExpectVectors expect)
      : folder_(folder), warn_(warn), expect_(expect), files_(folder_, result_.files, warn_) {}

  SentenceModules read() {
    result_.transformer = transformer_folder_;
    const bool saved = fs::exists(folder_ / "modules.json");
    read_library_config(saved);
    read_m3();
    if (!saved) {
      say_text_config_is_not_read();
      read_stanford();
      return assume_pooling("has no modules.json");
    }
    read_text_config();
    if (result_.cross_encoder) read_logit_score();
    if (foreign_kind_ == kSparseEncoder) read_sparse_modules();
    if (foreign_kind_ == kColbert) read_late_modules();
    if (foreign_kind_) return assume_pooling(fmt::format("was saved as a {}", printable(*foreign_kind_)));
    result_.declared = true;
    result_.files.emplace_back("modules.json");
    read_modules();
    return std::move(result_);
  }

 private:
  void tell(const std::string& sentence) const {
    if (warn_) warn_(sentence);
  }

  SentenceModules assume_pooling(const std::string& reason) {
    if (result_.m3) {
      if (expect_ == ExpectVectors::yes)
        tell(
            fmt::format("{}: {}; the first token's vector, scaled to length 1, was assumed, as FlagEmbedding "
                        "does for bge-m3",
                        folder_.string(), reason));
      result_.modules = {PoolingSpec{.kinds = {PoolingKind::cls}}, NormalizeSpec{}};
      return std::move(result_);
    }
    const bool last = is_language_model();
    // Encoder::embed says it of a folder that is made for other vectors.
    if (expect_ == ExpectVectors::yes && !result_.splade && !result_.late)
      tell(fmt::format("{}: {}; {} pooling was assumed, as sentence-transformers does", folder_.string(),
                       reason, last ? "last-token" : "mean"));
    result_.modules = {PoolingSpec{.kinds = {last ? PoolingKind::last_token : PoolingKind::mean}}};
    return std::move(result_);
  }

  // sentence-transformers goes by the first class that config.json names.
  bool is_language_model() const {
    const fs::path file = folder_ / transformer_folder_ / "config.json";
    if (!fs::exists(file)) return false;
    const nlohmann::json config = read_json(file);
    const auto classes = config.find("architectures");
    const auto causal = config.find("is_causal");
    return classes != config.end() && classes->is_array() && !classes->empty() &&
           classes->front().is_string() && classes->front().get<std::string>().ends_with("ForCausalLM") &&
           (causal == config.end() || *causal != false);
  }

  // Reads config_sentence_transformers.json. The CrossEncoder's settings count only if the model was
  // `saved` as a CrossEncoder.
  void read_library_config(bool saved) {
    const std::optional<Config> config = files_.config_at(kLibraryConfig);
    if (!config) return;
    config->harmless({"__version__", "activation_fn", "prompts", "default_prompt_name", "requirements"});
    const auto kind = config->get_or<std::string>("model_type", "SentenceTransformer");
    if (kind != "SentenceTransformer") foreign_kind_ = kind;
    result_.cross_encoder = saved && kind == "CrossEncoder";
    if (result_.cross_encoder && config->has("activation_fn"))
      result_.activation_fn = config->get<std::string>("activation_fn");
    if (config->has("prompts")) {
      const Config prompts = config->object("prompts");
      for (const auto& [name, text] : prompts.json().items())
        result_.prompts[name] = prompts.get_or<std::string>(name, "");
    }
    if (config->has("default_prompt_name")) {
      const auto name = config->get<std::string>("default_prompt_name");
      if (!result_.prompts.contains(name))
        throw_malformed(fmt::format("{}: \"default_prompt_name\" is {}, which \"prompts\" does not have",
                                    config->where(), printable(name)));
      result_.default_prompt_name = name;
    }
    // Early versions of PyLate write no "model_type".
    if (kind == kColbert || config->get_or<std::string>("similarity_fn_name", "") == kMaxSim) {
      foreign_kind_ = kColbert;
      result_.late = read_pylate_settings(*config);
      config->harmless({"similarity_fn_name", "truncate_dim"});
      config->warn_unknown(warn_);
      return;
    }
    const auto similarity =
        config->get_or<std::string>("similarity_fn_name", kind == kSparseEncoder ? "dot" : "cosine");
    const auto found = std::ranges::find(kSimilarities, similarity);
    if (found == kSimilarities.end())
      throw_unsupported(
          fmt::format("{}: \"similarity_fn_name\" is {}, expected cosine, dot, euclidean or manhattan",
                      config->where(), printable(similarity)));
    result_.similarity = static_cast<Similarity>(found - kSimilarities.begin());
    if (config->has("truncate_dim")) result_.truncate_dim = config->positive("truncate_dim");
    config->harmless({"truncate_dim"});  // null means "not given"
    config->warn_unknown(warn_);
  }

  // sentence_bert_config.json, or one of its earlier names; empty if there is none.
  fs::path text_config() const {
    for (const char* kind : {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"})
      if (fs::path name = transformer_folder_ / fmt::format("sentence_{}_config.json", kind);
          fs::exists(folder_ / name))
        return name;
    return {};
  }

  void say_text_config_is_not_read() const {
    if (const fs::path name = text_config(); !name.empty())
      tell(
          fmt::format("{}: ignored, because there is no modules.json beside it (as in sentence-transformers)",
                      (folder_ / name).string()));
  }

  void read_text_config() {
    const fs::path name = text_config();
    if (name.empty()) return;
    const Config config = *files_.config_at(name);
    result_.text_config = name;
    if (config.has("max_seq_length")) result_.max_seq_length = config.positive("max_seq_length");
    result_.do_lower_case = config.get_or<bool>("do_lower_case", false);
    config.harmless({"unpad_inputs", "max_seq_length", "modality_config"});  // null means "not given"
    read_task(config);
    config.reject_unless("tokenizer_name_or_path", {}, "a tokenizer outside the folder is not read");
    read_processing(config);
    for (const char* key : {"query_length", "document_length", "query_expansion"})
      config.reject_unless(key, {}, "it belongs to multi-vector models, which are not implemented");
    for (const char* key : {"processor_kwargs", "tokenizer_args"})
      if (config.has(key)) read_tokenizer_settings(config.object(key));
    for (const char* key : {"model_kwargs", "model_args"})  // how torch loads the model; no effect on results
      refuse_settings(config, key,
                      {"add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage",
                       "torch_dtype", "trust_remote_code", "use_safetensors"});
    for (const char* key : {"config_kwargs", "config_args"})
      refuse_settings(config, key, {"trust_remote_code"});
    config.harmless({"processor_kwargs", "tokenizer_args"});
    refuse_unknown(config);
  }

  // models/registry.cpp reads the score's own file.
  void read_logit_score() {
    const std::optional<fs::path> module = logit_score_folder(folder_);
    if (!module) return;
    result_.files.emplace_back("modules.json");
    files_.config_at(*module / "config.json");
  }

  // Reads which output the Transformer module gives to the next module.
  void read_task(const Config& config) {
    if (foreign_kind_) {  // a CrossEncoder's scores, a SparseEncoder's logits
      task_ = config.get_or<std::string>("transformer_task", "");
      config.harmless({"transformer_task", "module_output_name", "modality_config"});
      if (config.has("modality_config")) read_message_form(config.object("modality_config"));
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
    refuse_unknown(text);
    refuse_unknown(modalities);
  }

  void read_message_form(const Config& modalities) {
    result_.renders_pairs = modalities.has("message");
    if (!*result_.renders_pairs) return;
    const Config message = modalities.object("message");
    if (message.has("format")) result_.has_message_parts = message.get<std::string>("format") == "structured";
  }

  void read_processing(const Config& config) {
    config.harmless({"processing_kwargs"});
    if (!config.has("processing_kwargs")) return;
    const Config settings = config.object("processing_kwargs");
    if (foreign_kind_ && settings.has("chat_template")) {
      const Config variables = settings.object("chat_template");
      for (const char* key : {"max_length", "padding", "restore_suffix", "return_tensors", "truncation"})
        variables.reject_unless(key, {}, "tokenizer settings per call are not honoured");
      result_.template_variables = variables.json();
    }
    for (const std::string& key : settings.unused_keys())
      if (key != "chat_template" || !foreign_kind_)
        throw_unsupported(fmt::format("{}: {} is set; tokenizer settings per call are not honoured",
                                      settings.where(), printable(key)));
  }

  void read_tokenizer_settings(const Config& settings) {
    settings.harmless({"trust_remote_code", "use_fast", "model_max_length"});
    if (settings.has("model_max_length")) result_.max_seq_length = settings.positive("model_max_length");
    refuse_unknown(settings);
  }

  static void refuse_settings(const Config& config, const char* key,
                              std::initializer_list<std::string_view> harmless) {
    config.harmless({key});
    if (!config.has(key)) return;
    const Config settings = config.object(key);
    settings.harmless(harmless);
    refuse_unknown(settings);
  }

  // A way through the modules, as far as they are read.
  struct Way {
    std::string route;  // empty before a Router
    bool pooled = false;
    std::vector<SentenceModuleSpec> modules = {};
  };

  std::vector<Config> module_entries() const {
    const std::string where = (folder_ / "modules.json").string();
    const nlohmann::json list = read_json(folder_ / "modules.json");
    if (!list.is_array())
      throw_malformed(fmt::format("{}: found {}, expected a list of modules", where, shown(list)));
    std::vector<Config> entries;
    for (size_t i = 0; i < list.size(); ++i)
      entries.emplace_back(list[i], fmt::format("{}: module {}", where, i));
    return entries;
  }

  // A masked language model and a SpladePooling. Of other modules it is said that they are not computed.
  void read_sparse_modules() {
    result_.files.emplace_back("modules.json");
    const std::vector<Config> entries = module_entries();
    std::vector<std::string> classes;
    for (const Config& entry : entries) {
      classes.push_back(class_of(entry));
      if (classes.back().empty()) classes.back() = entry.get<std::string>("type");
    }
    if (classes == std::vector<std::string>{"Router"}) return read_sparse_routes(module_folder(entries[0]));
    if (!is_splade(classes)) return tell_sparse((folder_ / "modules.json").string(), classes);
    result_.splade = files_.splade(module_folder(entries[1]));
  }

  bool is_splade(const std::vector<std::string>& classes) const {
    return classes.size() == 2 && classes[1] == "SpladePooling" &&
           (classes[0] == "MLMTransformer" || (classes[0] == "Transformer" && task_ == "fill-mask"));
  }

  void tell_sparse(const std::string& where, const std::vector<std::string>& classes) const {
    tell(fmt::format(
        "{}: a SparseEncoder of {} is not implemented; known are a masked language model with a "
        "SpladePooling and, in a route of its own, a SparseStaticEmbedding, so there are no sparse "
        "vectors",
        where, printable(fmt::format("{}", fmt::join(classes, ", ")))));
  }

  // Documents go through a model, queries are looked up, or the other way round.
  void read_sparse_routes(const std::string& path) {
    const RouterFile router = files_.router(path);
    std::vector<SparseRoute> kinds;
    for (const RouterRoute& route : router.routes) {
      std::vector<std::string> classes;
      for (const RouterModule& m : route.modules) classes.push_back(library_class(m.type));
      const bool fixed = classes == std::vector<std::string>{"SparseStaticEmbedding"};
      if (!(fixed ? !result_.static_terms : is_splade(classes) && !result_.splade)) {
        result_.splade.reset();
        result_.static_terms.reset();
        return tell_sparse(fmt::format("{}: the route {}", router.where, printable(route.name)), classes);
      }
      kinds.push_back(fixed ? SparseRoute::fixed : SparseRoute::model);
      if (fixed)
        result_.static_terms = files_.static_terms(route.modules[0].folder, transformer_folder_);
      else
        result_.splade = files_.splade(route.modules[1].folder);
    }
    if (result_.static_terms && result_.do_lower_case)
      throw_unsupported(
          fmt::format("{}: \"do_lower_case\" beside a route that is looked up, whose texts keep their "
                      "case, is not implemented",
                      result_.text_config.string()));
    for (const RouteTask task : kRouteTasks) {
      const auto route = router.route_of[task];
      result_.sparse_route[task] = route ? kinds[*route] : SparseRoute::none;
    }
  }

  // A Transformer, then Dense modules. As in PyLate, other modules are left out.
  void read_late_modules() {
    result_.files.emplace_back("modules.json");
    for (const Config& entry : module_entries()) {
      const auto type = entry.get<std::string>("type");
      const std::string kind = type.substr(type.rfind('.') + 1);
      if (kind == "Dense")
        result_.late_modules.push_back(files_.dense(module_folder(entry)).spec);
      else if (kind != "Transformer")
        tell(fmt::format("{}: {} is ignored, as PyLate does", entry.where(), printable(type)));
    }
    if (!result_.late_modules.empty()) return;
    tell(
        fmt::format("{}: has no Dense module, which a ColBERT projects tokens by; there are no token vectors",
                    (folder_ / "modules.json").string()));
    result_.late.reset();
  }

  // A model that was saved for another use may have the files of its base model.
  void read_m3() {
    if (foreign_kind_) {
      for (const char* file : kM3Files)
        if (fs::exists(folder_ / file))
          tell(fmt::format("{}: ignored, because the folder was saved as a {}", (folder_ / file).string(),
                           printable(*foreign_kind_)));
      return;
    }
    result_.m3 = read_m3_heads(folder_);
    if (!result_.m3) return;
    result_.late = m3_late_interaction();
    result_.files.insert(result_.files.end(), kM3Files.begin(), kM3Files.end());
  }

  void read_stanford() {
    const fs::path file = folder_ / "config.json";
    if (!fs::exists(file) || !is_stanford_colbert(Config::read(file))) return;
    const std::optional<Config> metadata = files_.config_at(kStanfordFile);
    if (!metadata)
      tell(fmt::format(
          "{}: has no artifact.metadata; the lengths of queries and documents and their marks are assumed, "
          "as in PyLate",
          folder_.string()));
    result_.late = read_stanford_settings(metadata ? &*metadata : nullptr);
  }

  void read_modules() {
    const std::string where = (folder_ / "modules.json").string();
    const std::vector<Config> entries = module_entries();
    for (size_t i = 0; i < entries.size(); ++i) read_module(entries[i], i);
    for (const Way& way : ways_)
      if (!way.pooled)
        throw_malformed(
            fmt::format("{}: has no Pooling after a Transformer{}, so there is no vector for a text", where,
                        way.route.empty() ? "" : " in the route " + printable(way.route)));
    take_ways(where);
  }

  // library_class() of a module.
  static std::string class_of(const Config& entry) {
    entry.harmless({"idx", "name", "kwargs"});
    const auto type = entry.get<std::string>("type");
    return library_class(type);
  }

  void read_module(const Config& entry, size_t index) {
    const std::string kind = class_of(entry), path = module_folder(entry),
                      type = entry.get<std::string>("type");
    refuse_unknown(entry);
    if (is_static_embedding(type) && index == 0) {
      begin_static();
    } else if (kind == "Transformer") {
      if (transformer_ || index != 0)
        throw_malformed(fmt::format("{}: a Transformer, expected it once and first", entry.where()));
      transformer_ = true;
    } else if (kind == "Router" || kind == "Asym") {
      if (router_) throw_unsupported(fmt::format("{}: a second Router; one is implemented", entry.where()));
      if (!transformer_)
        throw_unsupported(fmt::format(
            "{}: a {} before the Transformer; implemented are routes after one Transformer that all "
            "share, and routes that each begin with an encoder (Transformer, StaticEmbedding)",
            entry.where(), kind));
      router_ = files_.router(path);
      split_ways();
    } else {
      const SentenceModule module = read_plain(entry.where(), type, path);
      for (Way& way : ways_) add(entry.where(), module, way);
    }
  }

  // The module gives a text's vector, the mean of its tokens' rows.
  void begin_static() {
    transformer_ = result_.is_static = true;
    const fs::path tokenizer = transformer_folder_ / "tokenizer.json";
    if (const int64_t limit = static_token_limit(folder_ / tokenizer); limit > 0) {
      result_.max_seq_length = limit;
      result_.text_config = tokenizer;
    }
    ways_.front().modules.push_back(PoolingSpec{.folder = transformer_folder_.generic_string()});
    ways_.front().pooled = true;
  }

  // Each route is a way of its own from here on.
  void split_ways() {
    const Way before = ways_.front();
    ways_.clear();
    for (const RouterRoute& route : router_->routes) {
      Way way = before;
      way.route = route.name;
      for (const RouterModule& m : route.modules) {
        const std::string where = fmt::format("{}: {}", router_->where, printable(m.folder));
        add(where, read_plain(where, m.type, m.folder), way);
      }
      ways_.push_back(std::move(way));
    }
  }

  // A module, and what it reads and writes.
  struct SentenceModule {
    std::string kind;
    std::optional<SentenceModuleSpec> spec;  // none: it has no effect
    Feature feature = Feature::sentence_embedding;
  };

  SentenceModule read_plain(const std::string& where, const std::string& type, const std::string& path) {
    const std::string kind = library_class(type);
    if (kind == "Pooling") return {kind, files_.pooling(path)};
    if (kind == "Dense") {
      ModuleFile<DenseSpec> dense = files_.dense(path);
      return {kind, std::move(dense.spec), dense.feature};
    }
    if (kind == "Normalize") {
      ModuleFile<NormalizeSpec> normalize = files_.normalize(path);
      return {kind, normalize.spec, normalize.feature};
    }
    if (kind == "Dropout") {
      files_.dropout(path);
      return {kind, std::nullopt};
    }
    if (router_ && (kind == "Transformer" || kind == "StaticEmbedding"))
      throw_unsupported(
          fmt::format("{}: a {} in a route; implemented are routes after one Transformer that all share, and "
                      "routes that each "
                      "begin with an encoder (Transformer, StaticEmbedding)",
                      where, kind));
    throw_unsupported(fmt::format(
        "{}: {} is not implemented; known are Transformer, Pooling, Dense, Normalize, Dropout and Router",
        where, printable(type)));
  }

  // Each module replaces its input. No module after the Pooling may read the tokens' vectors.
  void add(const std::string& where, const SentenceModule& module, Way& way) {
    if (!module.spec) return;
    if (module.kind == "Pooling") {
      if (way.pooled || !transformer_)
        throw_malformed(fmt::format("{}: a Pooling, expected it once, after the Transformer", where));
      way.pooled = true;
    } else {
      if (!transformer_) throw_malformed(fmt::format("{}: a {} before the Transformer", where, module.kind));
      if (!way.pooled && module.feature == Feature::sentence_embedding)
        throw_unsupported(fmt::format("{}: a {} of the sentence_embedding before the Pooling, which makes it",
                                      where, module.kind));
      if (way.pooled && module.feature == Feature::token_embeddings) return;
    }
    way.modules.push_back(*module.spec);
  }

  void take_ways(const std::string& where) {
    if (!router_) {
      result_.modules = std::move(ways_.front().modules);
      return;
    }
    result_.route_of = router_->route_of;
    const size_t main = router_->route_of[RouteTask::none].value_or(0);
    std::optional<bool> include_prompt;
    for (size_t i = 0; i < ways_.size(); ++i) {
      Way& way = ways_[i];
      if (std::find(result_.route_of.begin(), result_.route_of.end(), std::optional(i)) ==
          result_.route_of.end())
        tell(fmt::format("{}: no task takes the route {}", router_->where, printable(way.route)));
      for (const SentenceModuleSpec& m : way.modules)
        if (const auto* pooling = std::get_if<PoolingSpec>(&m)) {
          if (include_prompt.value_or(pooling->include_prompt) != pooling->include_prompt)
            throw_unsupported(where +
                              ": routes whose poolings differ in \"include_prompt\" are not implemented");
          include_prompt = pooling->include_prompt;
        }
      if (i == main) result_.modules = way.modules;
      result_.routes.push_back({std::move(way.route), std::move(way.modules)});
    }
  }

  const fs::path& folder_;
  const fs::path transformer_folder_ = transformer_path(folder_);  // relative to folder_
  const Warning& warn_;
  ExpectVectors expect_;
  SentenceModules result_;
  ModuleFileReader files_;
  std::optional<std::string> foreign_kind_;
  std::string task_;  // of a foreign kind's Transformer
  bool transformer_ = false;
  std::optional<RouterFile> router_;
  std::vector<Way> ways_{Way{}};
};

}  // namespace

const char* name(Similarity similarity) noexcept {
  return kSimilarities[static_cast<size_t>(similarity)];
}

const std::vector<SentenceModuleSpec>& SentenceModules::modules_for(RouteTask task) const {
  if (routes.empty()) return modules;
  std::vector<std::string> names;
  for (const SentenceRoute& route : routes) names.push_back(route.name);
  return routes[require_route(route_of, task, names)].modules;
}

SparseRoute SentenceModules::sparse_route_for(RouteTask task) const {
  if (sparse_route[task] != SparseRoute::none) return sparse_route[task];
  std::vector<std::string> others;
  for (const RouteTask other : kRouteTasks)
    if (sparse_route[other] != SparseRoute::none) others.emplace_back(words(other).texts);
  refuse_task(task, others.empty() ? "" : "routes for " + listed(others, others.size()));
}

std::optional<size_t> SentenceModules::own_route(RouteTask task) const noexcept {
  const size_t main = route_of[RouteTask::none].value_or(0);
  const auto route = route_of[task];
  return route == main ? std::nullopt : route;
}

std::vector<const DenseSpec*> SentenceModules::dense() const {
  std::vector<const DenseSpec*> all;
  const auto add = [&](const std::vector<SentenceModuleSpec>& way) {
    for (const SentenceModuleSpec& m : way)
      if (const auto* dense = std::get_if<DenseSpec>(&m))
        if (std::ranges::find(all, dense->folder, &DenseSpec::folder) == all.end()) all.push_back(dense);
  };
  if (routes.empty()) add(modules);
  for (const SentenceRoute& route : routes) add(route.modules);
  for (const DenseSpec& dense : late_modules) all.push_back(&dense);
  return all;
}

std::vector<const StoredWeight*> SentenceModules::weights() const {
  std::vector<const StoredWeight*> all;
  for (const DenseSpec* d : dense()) {
    all.push_back(&d->weight);
    for (const auto* optional : {&d->bias, &d->residual})
      if (*optional) all.push_back(&**optional);
  }
  if (m3)
    for (const M3Linear* linear : {&m3->sparse, &m3->colbert})
      all.insert(all.end(), {&linear->weight, &linear->bias});
  return all;
}

std::string default_prompt(const SentenceModules& modules, PromptUse use) {
  if (!modules.default_prompt_name || modules.cross_encoder != (use == PromptUse::classification)) return "";
  return modules.prompts.at(*modules.default_prompt_name);
}

SentenceModules read_sentence_modules(const fs::path& folder, const Warning& warn, ExpectVectors expect) {
  return with_file_errors([&] { return SentenceReader(folder, warn, expect).read(); });
}

}  // namespace mlxe
