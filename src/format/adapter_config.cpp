#include "format/adapter_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "format/config.h"
#include "format/json_file.h"
#include "format/module_path.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Keys that are read, and those that change no merged weight: how the adapter was initialized and trained, and which
// modules it has, which its tensors say.
constexpr std::string_view kPeftKeys[] = {"alpha_pattern",
                                          "auto_mapping",
                                          "base_model_name_or_path",
                                          "bias",
                                          "corda_config",
                                          "eva_config",
                                          "exclude_modules",
                                          "fan_in_fan_out",
                                          "inference_mode",
                                          "init_lora_weights",
                                          "layers_pattern",
                                          "layers_to_transform",
                                          "loftq_config",
                                          "lora_alpha",
                                          "lora_bias",
                                          "lora_dropout",
                                          "lora_ga_config",
                                          "megatron_core",
                                          "modules_to_save",
                                          "peft_type",
                                          "peft_version",
                                          "qalora_group_size",
                                          "r",
                                          "rank_pattern",
                                          "revision",
                                          "runtime_config",
                                          "target_modules",
                                          "task_type",
                                          "use_dora",
                                          "use_rslora",
                                          "velora_config"};
// Initializations that leave the base model's weights as they are. Others, such as pissa, take a part out of them.
constexpr std::string_view kInitializations[] = {"eva", "gaussian", "orthogonal"};

[[noreturn]] void not_honoured(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: {}; merge it with PEFT (merge_and_unload) first", where, what));
}

bool is_empty(const nlohmann::json& value) {
  return value.is_null() || value == false || ((value.is_object() || value.is_array()) && value.empty());
}

void require_known_keys(const Config& config) {
  for (const auto& [key, value] : config.json().items())
    if (std::ranges::find(kPeftKeys, key) == std::end(kPeftKeys) && !is_empty(value))
      not_honoured(config.where(), fmt::format("{} is {}, which this version does not compute",
                                               printable(key), shown(value)));
}

void require_untouched_base(const Config& config) {
  const auto found = config.json().find("init_lora_weights");
  if (found == config.json().end() || found->is_null() || found->is_boolean()) return;
  if (!found->is_string() ||
      std::ranges::find(kInitializations, found->get_ref<const std::string&>()) == std::end(kInitializations))
    not_honoured(
        config.where(),
        fmt::format("\"init_lora_weights\" is {}, which changes the base model's weights", shown(*found)));
}

// {"layer.0.attention.self.query": 16}
std::map<std::string, double> read_pattern(const Config& config, const char* key) {
  std::map<std::string, double> pattern;
  if (!config.has(key)) return pattern;
  const Config object = config.object(key);
  for (const auto& [module, value] : object.json().items())
    pattern[module] = object.non_negative_number(module);
  return pattern;
}

// Whether PEFT's pattern names the module: the regular expression (.*\.)?(PATTERN)$ from its beginning, of which
// names with an anchor are read. A dot in it is any character, as in PEFT, unless a backslash is before it.
bool names_module(std::string_view pattern, std::string_view module, const std::string& where) {
  const bool whole = pattern.starts_with('^');
  if (whole) pattern.remove_prefix(1);
  if (pattern.ends_with('$')) pattern.remove_suffix(1);
  std::string name;
  std::vector<bool> is_any;  // of each character of `name`
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool escaped = pattern[i] == '\\' && i + 1 < pattern.size() && pattern[i + 1] == '.';
    if (escaped) ++i;
    if (std::string_view("\\*+?()[]{}|^$").find(pattern[i]) != std::string_view::npos)
      not_honoured(where, fmt::format("the pattern {} is a regular expression, expected the name of modules",
                                      printable(pattern)));
    name += pattern[i];
    is_any.push_back(pattern[i] == '.' && !escaped);
  }
  if (name.size() > module.size()) return false;
  const size_t begin = module.size() - name.size();
  if (begin > 0 && (whole || module[begin - 1] != '.')) return false;
  for (size_t i = 0; i < name.size(); ++i)
    if (!is_any[i] && name[i] != module[begin + i]) return false;
  return true;
}

// The value that the patterns give the module, else `otherwise`.
double value_of(const std::map<std::string, double>& patterns, const std::string& module, double otherwise,
                const std::string& where) {
  std::optional<double> found;
  for (const auto& [pattern, value] : patterns) {
    if (!names_module(pattern, module, where)) continue;
    // PEFT takes the first in the file, whose order is not known here.
    if (found && *found != value)
      not_honoured(where,
                   fmt::format("two patterns name {} and give it different values", printable(module)));
    found = value;
  }
  return found.value_or(otherwise);
}

AdapterConfig read_peft(const Config& config, const Warning& warn) {
  if (const auto type = config.get<std::string>("peft_type"); type != "LORA")
    not_honoured(config.where(), fmt::format("an adapter of the type {}, expected LORA", printable(type)));
  require_known_keys(config);
  require_untouched_base(config);
  if (warn && config.get_or<bool>("fan_in_fan_out", false))
    warn(config.where() +
         ": \"fan_in_fan_out\" is ignored, as PEFT does: no layer of these models is a Conv1D");
  AdapterConfig result;
  result.base_model = config.get_or<std::string>("base_model_name_or_path", "");
  result.task_type = config.get_or<std::string>("task_type", "");
  result.modules_to_save = config.get_or<std::vector<std::string>>("modules_to_save", {});
  result.dora = config.get_or<bool>("use_dora", false);
  result.root = config.get_or<bool>("use_rslora", false);
  result.rank = static_cast<double>(config.positive_or("r", 8));
  result.alpha = config.get_or<double>("lora_alpha", 8);
  result.ranks = read_pattern(config, "rank_pattern");
  result.alphas = read_pattern(config, "alpha_pattern");
  return result;
}

AdapterConfig read_mlx(const Config& config) {
  if (const auto type = config.get<std::string>("fine_tune_type"); type != "lora")
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: mlx-lm's adapter of the type {}, expected lora; fuse it with mlx_lm.fuse first",
                    config.where(), printable(type)));
  const Config parameters = config.object("lora_parameters");
  AdapterConfig result;
  result.form = AdapterForm::mlx;
  result.base_model = config.get_or<std::string>("model", "");
  result.rank = static_cast<double>(parameters.positive("rank"));
  result.scale = parameters.get<double>("scale");
  return result;
}

}  // namespace

AdapterConfig AdapterConfig::read(const fs::path& folder, const Warning& warn) {
  const Config config = Config::read(folder / kAdapterConfig);
  AdapterConfig result = config.has("fine_tune_type") ? read_mlx(config) : read_peft(config, warn);
  result.where = config.where();
  return result;
}

double AdapterConfig::scaling(const std::string& module, int64_t rank_of_matrices) const {
  const double stated = value_of(ranks, module, rank, where);
  if (stated != static_cast<double>(rank_of_matrices))
    throw Error(ErrorCode::format, fmt::format("{}: gives {} the rank {}, but its matrices have {}", where,
                                               printable(module), stated, rank_of_matrices));
  if (form == AdapterForm::mlx) return scale;
  return value_of(alphas, module, alpha, where) / (root ? std::sqrt(stated) : stated);
}

bool is_adapter_alone(const fs::path& folder) {
  std::error_code failed;
  if (!fs::exists(folder / kAdapterConfig, failed)) return false;
  try {
    return !fs::exists(folder / transformer_path(folder) / "config.json", failed);
  } catch (const Error&) {  // said when modules.json is read
    return false;
  }
}

void refuse_adapter_alone(const fs::path& folder) {
  std::string base;
  try {
    base = AdapterConfig::read(folder).base_model;
  } catch (const Error&) {  // said when the adapter is used
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: holds an adapter ({}), not a model; give its base model{} and --adapter {}",
                          folder.string(), kAdapterConfig,
                          base.empty() ? "" : fmt::format(", {},", printable(base)), folder.string()));
}

}  // namespace mlxe
