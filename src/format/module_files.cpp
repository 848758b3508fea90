#include "format/module_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/mapped_file.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

struct PoolingRow {
  PoolingKind kind;
  const char* spelling;  // "pooling_mode" since 5.4
  const char* flag;      // before 5.4
};
constexpr PoolingRow kPooling[] = {
    {PoolingKind::cls, "cls", "pooling_mode_cls_token"},
    {PoolingKind::max, "max", "pooling_mode_max_tokens"},
    {PoolingKind::mean, "mean", "pooling_mode_mean_tokens"},
    {PoolingKind::mean_sqrt_len, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    {PoolingKind::weighted_mean, "weightedmean", "pooling_mode_weightedmean_tokens"},
    {PoolingKind::last_token, "lasttoken", "pooling_mode_lasttoken"},
};

constexpr std::pair<const char*, const char*> kActivations[] = {
    {"Tanh", "tanh"},       {"Identity", "linear"}, {"ReLU", "relu"},       {"GELU", "gelu"},
    {"Sigmoid", "sigmoid"}, {"SiLU", "silu"},       {"Softmax", "softmax"},
};

PoolingKind parse_pooling(const std::string& spelling, const std::string& where) {
  for (const PoolingRow& row : kPooling)
    if (spelling == row.spelling) return row.kind;
  throw_unsupported(
      fmt::format("{}: the pooling mode {} is unknown; expected cls, max, mean, mean_sqrt_len_tokens, "
                  "weightedmean or lasttoken",
                  where, printable(spelling)));
}

// Since 5.4, and before.
const char* dimension_key(const Config& config) {
  return config.has("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
}

// "module_input_name", and "module_output_name", whose default is the same.
Feature read_feature(const Config& config) {
  const auto input = config.get_or<std::string>("module_input_name", "sentence_embedding");
  const auto output = config.get_or<std::string>("module_output_name", input);
  if (input == output && input == "token_embeddings") return Feature::token_embeddings;
  if (input == output && input == "sentence_embedding") return Feature::sentence_embedding;
  throw_unsupported(fmt::format(
      "{}: \"module_input_name\" is {} and \"module_output_name\" {}; implemented are token_embeddings and "
      "sentence_embedding, the same for both",
      config.where(), printable(input), printable(output)));
}

std::string read_activation(const Config& config) {
  constexpr const char* kKey = "activation_function";
  const nlohmann::json& object = config.json();
  if (!object.contains(kKey)) return "tanh";
  const auto path = config.get<std::string>(kKey);
  const auto spelling = torch_activation(path);
  if (spelling && *spelling != "softmax") return *spelling;
  throw_unsupported(
      fmt::format("{}: \"{}\" is {}; known are torch's Tanh, Identity, ReLU, GELU, Sigmoid, SiLU",
                  config.where(), kKey, printable(path)));
}

StoredWeight dense_tensor(const TensorFile& file, const std::string& folder, const std::string& name,
                          Shape shape) {
  const TensorView* view = file.find(name);
  if (!view) throw_malformed(fmt::format("{}: {} is missing", file.path().string(), name));
  if (view->shape != shape || !is_float(view->dtype))
    throw_malformed(fmt::format("{}: {} is {} {}, config.json implies a float {}", file.path().string(), name,
                                mlxe::name(view->dtype), to_string(view->shape), to_string(shape)));
  return {.name = fmt::format("{}/{}", folder, name),
          .scheme = {.mode = Mode::none, .dtype = view->dtype},
          .shape = std::move(shape),
          .dtype = view->dtype,
          .codes = view->data,
          .scales = {},
          .biases = {}};
}

}  // namespace

const char* spelling(PoolingKind kind) noexcept {
  return std::ranges::find(kPooling, kind, &PoolingRow::kind)->spelling;
}

std::optional<std::string> pooling_in_old_spelling(const fs::path& file) {
  const nlohmann::json config = read_json(file);
  const auto is = [&](const char* key) { return config.contains(key) && !config.at(key).is_null(); };
  if (!is("embedding_dimension") || !is("pooling_mode") || is("word_embedding_dimension"))
    return std::nullopt;
  nlohmann::ordered_json old{{"word_embedding_dimension", config.at("embedding_dimension")}};
  const nlohmann::json& named = config.at("pooling_mode");
  const nlohmann::json kinds = named.is_array() ? named : nlohmann::json::array({named});
  size_t next = 0;  // flags have the order of the table, so the modes must have it, too
  for (const PoolingRow& row : kPooling) {
    const bool pools = next < kinds.size() && kinds[next] == row.spelling;
    old[row.flag] = pools;
    next += pools;
  }
  if (next != kinds.size()) return std::nullopt;
  for (const auto& [key, value] : config.items())
    if (key != "embedding_dimension" && key != "pooling_mode") old[key] = value;
  return old.dump(2) + "\n";
}

void throw_unsupported(const std::string& text) {
  throw Error(ErrorCode::unsupported, text);
}

void throw_malformed(const std::string& text) {
  throw Error(ErrorCode::format, text);
}

std::optional<std::string> torch_activation(std::string_view python_class) {
  if (!python_class.starts_with("torch.nn.")) return std::nullopt;
  for (const auto& [python, spelling] : kActivations)
    if (python_class.substr(python_class.rfind('.') + 1) == python) return spelling;
  return std::nullopt;
}

std::string library_class(std::string_view type) {
  // Of jina-embeddings-v3: the library's, with an argument that chooses a task.
  if (type == "custom_st.Transformer") return "Transformer";
  return type.starts_with("sentence_transformers.") ? std::string(type.substr(type.rfind('.') + 1))
                                                    : std::string();
}

void refuse_unknown(const Config& config) {
  if (const auto rest = config.unused_keys(); !rest.empty())
    throw_unsupported(fmt::format(
        "{}: {} is not honoured, and may change what the model computes; remove it if it does not",
        config.where(), printable(rest.front())));
}

std::optional<Config> ModuleFileReader::config_at(const fs::path& relative) {
  if (!fs::exists(folder_ / relative)) return std::nullopt;
  files_.push_back(relative);
  return Config::read(folder_ / relative);
}

Config ModuleFileReader::required(const std::string& path) {
  if (auto config = config_at(fs::path(path) / "config.json")) return *config;
  throw Error(ErrorCode::not_found,
              fmt::format("{}: no such file; modules.json names its folder, which some converters leave "
                          "out: copy it from the original model",
                          (folder_ / path / "config.json").string()));
}

std::vector<PoolingKind> ModuleFileReader::pooling_kinds(const Config& config) const {
  const auto tell = [&](const char* what) {
    if (warn_) warn_(fmt::format("{}: {}", config.where(), what));
  };
  std::vector<PoolingKind> flagged, named;
  for (const PoolingRow& row : kPooling)
    if (config.get_or<bool>(row.flag, false)) flagged.push_back(row.kind);
  if (!config.has("pooling_mode")) {
    config.harmless({"pooling_mode"});  // null means "not given"
    if (!flagged.empty()) return flagged;
    tell("names no pooling mode; mean was assumed, as sentence-transformers does");
    return {PoolingKind::mean};
  }
  if (config.json().at("pooling_mode").is_string()) {
    named.push_back(parse_pooling(config.get<std::string>("pooling_mode"), config.where()));
  } else {
    for (const std::string& mode : config.get<std::vector<std::string>>("pooling_mode"))
      named.push_back(parse_pooling(mode, config.where()));
  }
  if (named.empty())
    throw_malformed(config.where() + ": \"pooling_mode\" is empty, expected at least one mode");
  if (!flagged.empty() && flagged != named)
    tell("\"pooling_mode\" and the pooling_mode_* flags differ; the first was used");
  return named;
}

PoolingSpec ModuleFileReader::pooling(const std::string& path) {
  const Config config = required(path);
  const char* dimension = dimension_key(config);
  PoolingSpec pooling{.kinds = pooling_kinds(config),
                      .include_prompt = config.get_or<bool>("include_prompt", true),
                      .dimension = config.positive(dimension),
                      .folder = path};
  config.harmless({"embedding_dimension", "word_embedding_dimension"});
  refuse_unknown(config);
  return pooling;
}

ModuleFile<DenseSpec> ModuleFileReader::dense(const std::string& path) {
  const Config config = required(path);
  DenseSpec dense{.folder = path,
                  .in = config.positive("in_features"),
                  .out = config.positive("out_features"),
                  .activation = read_activation(config),
                  .use_residual = config.get_or<bool>("use_residual", false),
                  .weight = {},
                  .bias = {},
                  .residual = {},
                  .file = {}};
  const Feature feature = read_feature(config);
  const bool has_bias = config.get_or<bool>("bias", true);
  refuse_unknown(config);
  read_weights(dense, has_bias);
  return {std::move(dense), feature};
}

void ModuleFileReader::read_weights(DenseSpec& dense, bool has_bias) {
  const WeightFormat* format = find_single_file(folder_ / dense.folder);
  if (!format)
    throw Error(ErrorCode::not_found, fmt::format("{}: no {} or {}; the Dense module needs its weights",
                                                  (folder_ / dense.folder).string(),
                                                  weight_formats()[0].single, weight_formats()[1].single));
  const fs::path relative = fs::path(dense.folder) / format->single;
  files_.push_back(relative);
  dense.file = std::make_shared<TensorFile>(folder_ / relative, *format->parse);
  std::set<std::string> used;
  const auto take = [&](const char* name, Shape shape) {
    used.insert(name);
    return dense_tensor(*dense.file, dense.folder, name, std::move(shape));
  };
  dense.weight = take("linear.weight", {dense.out, dense.in});
  if (has_bias) dense.bias = take("linear.bias", {dense.out});
  if (dense.use_residual && dense.in != dense.out)
    dense.residual = take("residual.weight", {dense.out, dense.in});
  for (const TensorView& view : dense.file->tensors())
    if (!used.contains(view.name))
      throw_malformed(fmt::format("{}: the tensor {} does not belong to a Dense module",
                                  dense.file->path().string(), printable(view.name)));
}

ModuleFile<NormalizeSpec> ModuleFileReader::normalize(const std::string& path) {
  const auto config = config_at(fs::path(path) / "config.json");
  if (!config) return {};  // before 5.4 there was no such file
  const Feature feature = read_feature(*config);
  refuse_unknown(*config);
  return {{}, feature};
}

SpladeSpec ModuleFileReader::splade(const std::string& path) {
  const Config config = required(path);
  const auto pooling = config.get_or<std::string>("pooling_strategy", "max"),
             activation = config.get_or<std::string>("activation_function", "relu");
  if (pooling != "max" && pooling != "sum")
    throw_unsupported(fmt::format("{}: \"pooling_strategy\" is {}, expected max or sum", config.where(),
                                  printable(pooling)));
  if (activation != "relu" && activation != "log1p_relu")
    throw_unsupported(fmt::format("{}: \"activation_function\" is {}, expected relu or log1p_relu",
                                  config.where(), printable(activation)));
  SpladeSpec splade{.weighting = {.pooling = pooling == "max" ? TermPooling::max : TermPooling::sum,
                                  .twice = activation == "log1p_relu"},
                    .dimension = {}};
  if (const char* key = dimension_key(config); config.has(key)) splade.dimension = config.positive(key);
  // Null means "not given". The size of the slices that are pooled at once does not change the weights.
  config.harmless({"embedding_dimension", "word_embedding_dimension", "chunk_size", "embed_chunk_size"});
  refuse_unknown(config);
  return splade;
}

namespace {

// Settings of tokenizer_config.json that change the tokens of a text, beside its limit.
constexpr const char* kTokenizerSettings[] = {
    "add_prefix_space", "added_tokens_decoder",   "do_lower_case",   "strip_accents",
    "tokenizer_class",  "tokenize_chinese_chars", "truncation_side",
};

// What a tokenizer does to a text: tokenizer.json without the settings that a saved call left in it, and those settings.
nlohmann::json tokenizer_in(const fs::path& folder) {
  const fs::path file = folder / "tokenizer.json", settings_file = folder / "tokenizer_config.json";
  if (!fs::exists(file))
    throw_unsupported(
        fmt::format("{}: has no tokenizer.json, expected that of the model's tokenizer", folder.string()));
  nlohmann::json tokenizer = read_json(file);
  if (tokenizer.is_object())
    for (const char* key : {"truncation", "padding"}) tokenizer.erase(key);
  nlohmann::json settings = fs::exists(settings_file) ? read_json(settings_file) : nlohmann::json::object(),
                 kept;
  for (const char* key : kTokenizerSettings)
    if (settings.is_object() && settings.contains(key)) kept[key] = settings[key];
  return {tokenizer, kept};
}

bool is_of_static_terms(const fs::path& file) {
  constexpr std::string_view kEndings[] = {".json", ".txt", ".model"};
  const std::string name = file.filename().string();
  return is_weight_file_name(name) ||
         std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace

StaticTerms ModuleFileReader::static_terms(const std::string& path, const fs::path& transformer) {
  const Config config = required(path);
  config.harmless({"frozen"});
  refuse_unknown(config);
  const fs::path own = folder_ / path;
  StaticTerms terms{.folder = path};
  read_weights(terms);
  if (tokenizer_in(own) != tokenizer_in(folder_ / transformer))
    throw_unsupported(fmt::format(
        "{}: the tokenizer differs from the model's; a tokenizer of its own in a route is not implemented",
        own.string()));
  if (const auto settings = config_at(fs::path(path) / "tokenizer_config.json"); settings) {
    // Python writes a huge number for "none".
    const double length = settings->get_or<double>("model_max_length", 0);
    if (length >= 1 && length <= static_cast<double>(kMaxConfigSize))
      terms.max_length = static_cast<int64_t>(length);
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(own))
    if (const fs::path file = fs::path(path) / entry.path().filename();
        entry.is_regular_file() && is_of_static_terms(file) &&
        std::ranges::find(files_, file) == files_.end())
      files_.push_back(file);
  return terms;
}

void ModuleFileReader::read_weights(StaticTerms& terms) const {
  const fs::path own = folder_ / terms.folder;
  const WeightFormat* format = find_single_file(own);
  if (!format)
    throw Error(ErrorCode::not_found,
                fmt::format("{}: no {} or {}; the SparseStaticEmbedding needs its weights", own.string(),
                            weight_formats()[0].single, weight_formats()[1].single));
  terms.file = std::make_shared<TensorFile>(own / format->single, *format->parse);
  const std::string where = terms.file->path().string();
  const TensorView* weight = terms.file->find("weight");
  const size_t count = terms.file->tensors().size();
  if (!weight || count != 1)
    throw_malformed(fmt::format("{}: has {} tensors, expected one, \"weight\"", where, count));
  if (weight->shape.size() != 1 || !is_float(weight->dtype))
    throw_malformed(fmt::format("{}: \"weight\" is {} {}, expected a float for each token", where,
                                mlxe::name(weight->dtype), to_string(weight->shape)));
  terms.weights = to_floats(*weight);
  for (const float w : terms.weights)
    if (!(w >= 0 && std::isfinite(w)))
      throw Error(std::isfinite(w) ? ErrorCode::format : ErrorCode::numeric,
                  fmt::format("{}: a weight is {}, expected a finite one that is not below 0", where, w));
}

namespace {

// The route that Router._resolve_route finds for texts (modality "text").
std::optional<size_t> resolve_route(const RouterFile& router,
                                    const std::map<std::string, std::string>& mappings,
                                    const std::optional<std::string>& default_route, RouteTask task) {
  const auto named = [&](const std::string& name) -> std::optional<size_t> {
    const auto found = std::ranges::find(router.routes, name, &RouterRoute::name);
    if (found == router.routes.end()) return std::nullopt;
    return static_cast<size_t>(found - router.routes.begin());
  };
  const std::string name = words(task).name,
                    of_task = task == RouteTask::none ? name : fmt::format("'{}'", name);
  for (const auto& [first, second] :
       {std::pair(of_task, "'text'"), std::pair(of_task, "None"), std::pair(std::string("None"), "'text'"),
        std::pair(std::string("None"), "None")})
    if (const auto found = mappings.find(fmt::format("({}, {})", first, second)); found != mappings.end())
      return named(found->second);
  if (task != RouteTask::none)
    if (const auto route = named(name)) return route;
  if (const auto route = named("text")) return route;
  if (task != RouteTask::none || !default_route) return std::nullopt;
  return named(*default_route);
}

// The keys of the object `name` of a JSON file in the order of the file, which Config does not keep. The file was read
// before, so it is well formed.
std::vector<std::string> keys_in_order(const fs::path& file, const std::string& name) {
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  std::vector<std::string> keys;
  bool inside = false;
  nlohmann::json parsed = nlohmann::json::parse(
      text, [&](int depth, nlohmann::json::parse_event_t event, const nlohmann::json& key) {
        if (event != nlohmann::json::parse_event_t::key) return true;
        if (depth == 1) inside = key == name;
        if (depth == 2 && inside) keys.push_back(key.get<std::string>());
        return true;
      });
  return keys;
}

}  // namespace

// sentence-transformers reads config.json where there is no router_config.json: Asym wrote that.
RouterFile ModuleFileReader::router(const std::string& path) {
  fs::path file = fs::path(path) / kRouterConfig;
  std::optional<Config> config = config_at(file);
  if (!config) {
    file = fs::path(path) / "config.json";
    config = required(path);
  }
  RouterFile router{.where = config->where(), .routes = {}};
  const Config types = config->object("types"), structure = config->object("structure");
  const Config parameters = config->object("parameters");
  refuse_unknown(*config);
  for (const std::string& name : keys_in_order(folder_ / file, "structure")) {
    RouterRoute& route = router.routes.emplace_back(RouterRoute{name, {}});
    for (const auto& id : structure.get<std::vector<std::string>>(name)) {
      if (id.find('/') != id.npos || id == ".." || id.find('\0') != id.npos)
        throw_malformed(fmt::format("{}: a module is {}, expected a folder beside this file", router.where,
                                    printable(id)));
      // "" is the Router's own folder.
      route.modules.push_back(
          {types.get<std::string>(id), path.empty() || id.empty() ? path + id : path + "/" + id});
    }
  }
  if (router.routes.empty()) throw_malformed(router.where + ": has no routes, expected at least one");
  std::map<std::string, std::string> mappings;
  if (parameters.has("route_mappings")) {
    const Config all = parameters.object("route_mappings");
    for (const auto& [key, route] : all.json().items()) mappings[key] = all.get<std::string>(key);
  }
  std::optional<std::string> default_route;
  if (parameters.has("default_route")) default_route = parameters.get<std::string>("default_route");
  if (parameters.get_or<bool>("allow_empty_key", true) && !default_route)
    default_route = router.routes[0].name;
  parameters.harmless({"default_route", "route_mappings"});  // null means "not given"
  refuse_unknown(parameters);
  for (const auto& [key, route] : mappings)
    if (std::ranges::find(router.routes, route, &RouterRoute::name) == router.routes.end())
      throw_malformed(fmt::format("{}: {} is mapped to {}, which is no route", router.where, printable(key),
                                  printable(route)));
  if (default_route &&
      std::ranges::find(router.routes, *default_route, &RouterRoute::name) == router.routes.end())
    throw_malformed(fmt::format("{}: \"default_route\" is {}, which is no route", router.where,
                                printable(*default_route)));
  for (const RouteTask task : kRouteTasks)
    router.route_of[task] = resolve_route(router, mappings, default_route, task);
  return router;
}

void ModuleFileReader::dropout(const std::string& path) {
  const auto config = config_at(fs::path(path) / "config.json");
  if (!config) return;
  config->harmless({"dropout"});
  refuse_unknown(*config);
}

}  // namespace mlxe
