#include "gates/quality.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/wording.h"
#include "format/json_file.h"
#include "format/toml_file.h"
#include "gates/baseline.h"
#include "gates/gate_names.h"
#include "mlx_encoder/error.h"
#include "quant/policy.h"

namespace mlxe {
namespace {

using nlohmann::json;

Error wrong(const std::string& where, const std::string& what) {
  return Error(ErrorCode::format, where + ": " + what);
}

// One file while it is read; every message begins with the line.
class Reading {
 public:
  explicit Reading(const std::filesystem::path& path) : toml_(read_toml(path)) {}

  QualityFile result() {
    QualityFile file{.path = toml_.path, .baseline = {}, .sections = {}};
    expect_keys(toml_.values, "", {"baseline", "gates", "models"});
    if (toml_.values.contains("baseline")) {
      const json& baseline = toml_.values["baseline"];
      if (!baseline.is_string() || baseline.get_ref<const std::string&>().empty())
        throw wrong(toml_.where("/baseline"),
                    fmt::format("baseline is {}, expected the name of a file", shown(baseline)));
      // A pipe lies in no folder of the user's.
      const bool is_file = std::filesystem::is_regular_file(toml_.path);
      file.baseline = (is_file ? toml_.path.parent_path() : "") / baseline.get_ref<const std::string&>();
    }
    has_baseline_ = !file.baseline.empty();
    file.sections.push_back({"*", gates(toml_.values, "")});
    const json models = toml_.values.value("models", json::array());
    if (!models.is_array()) throw wrong(toml_.where("/models"), "models is no list; write [[models]]");
    for (size_t i = 0; i < models.size(); ++i) file.sections.push_back(model(i));
    if (needs_baseline_ && !std::filesystem::exists(file.baseline))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: no such file {}; make it with compare --save-baseline",
                              toml_.where("/baseline"), file.baseline.string()));
    return file;
  }

 private:
  QualityFile::Section model(size_t index) {
    const json& section = toml_.values["models"][index];
    const std::string path = fmt::format("/models/{}", index);
    if (!section.is_object()) throw wrong(toml_.where(path), "expected a table; write [[models]]");
    expect_keys(section, path, {"folder", "gates"});
    if (!section.contains("folder") || !section["folder"].is_string())
      throw wrong(toml_.where(path), "has no folder, expected folder = \"a name, * and ? allowed\"");
    return {section["folder"].get<std::string>(), gates(section, path)};
  }

  void expect_keys(const json& table, const std::string& path, const std::set<std::string>& known) {
    for (const auto& [key, value] : table.items())
      if (!known.contains(key))
        throw wrong(toml_.where(path + "/" + key),
                    fmt::format("unknown key {}, expected {}", printable(key), fmt::join(known, ", ")));
  }

  std::vector<QualityLimit> gates(const json& table, const std::string& path) {
    std::vector<QualityLimit> limits;
    if (!table.contains("gates")) return limits;
    const std::string below = path + "/gates";
    if (!table["gates"].is_object()) throw wrong(toml_.where(below), "gates is no table; write [gates]");
    for (const auto& [tensor, metrics] : table["gates"].items()) {
      if (!metrics.is_object())
        throw wrong(toml_.where(below + "/" + tensor),
                    fmt::format("{}: expected TENSOR.METRIC = LIMIT", printable(tensor)));
      for (const auto& [metric, value] : metrics.items())
        limits.push_back(
            limit(tensor + "." + metric, value, toml_.where(below + "/" + tensor + "/" + metric)));
    }
    return limits;
  }

  QualityLimit limit(const std::string& name, const json& value, const std::string& where) {
    const auto kind = gate_kind(name);
    if (!kind) throw wrong(where, fmt::format("no gate {}; {}", printable(name), known_gates(name)));
    QualityLimit limit{name, where, std::nullopt, std::nullopt};
    const auto expected = [&] {
      return wrong(where, fmt::format("{} = {}, expected a number{}, \"off\", or {{ {} = 0.1 }}: that share "
                                      "worse than the baseline",
                                      name, shown(value), kind->bytes ? ", a size such as \"14 MiB\"" : "",
                                      kind->at_least ? "drop" : "growth"));
    };
    if (value == "off") return limit;
    if (value.is_number()) {
      limit.limit = value.get<double>();
    } else if (value.is_string() && kind->bytes) {
      const auto bytes = parse_bytes(value.get_ref<const std::string&>());
      if (!bytes) throw expected();
      limit.limit = static_cast<double>(*bytes);
    } else if (value.is_object() && value.size() == 1) {
      const auto change = value.find(kind->at_least ? "drop" : "growth");
      if (change == value.end() || !change->is_number() || change->get<double>() < 0) throw expected();
      limit.change = change->get<double>();
      needs_baseline_ = true;
      if (!has_baseline_)
        throw wrong(where, name + " is relative to a baseline; add baseline = \"FILE\" before [gates]");
    } else {
      throw expected();
    }
    return limit;
  }

  TomlFile toml_;
  bool has_baseline_ = false, needs_baseline_ = false;
};

std::map<std::string, QualityLimit> limits_for(const QualityFile& file, const std::string& model) {
  std::map<std::string, QualityLimit> limits;
  for (const QualityFile::Section& section : file.sections)
    if (matches(section.pattern, model))
      for (const QualityLimit& limit : section.limits) limits.insert_or_assign(limit.name, limit);
  return limits;
}

bool measures(MeasuredBy by, const GateKind& kind) {
  return by == MeasuredBy::convert ? kind.convert : by == MeasuredBy::compare ? kind.compare : kind.evaluate;
}

// describe_machine() without the load, which is never the same.
std::string_view without_load(std::string_view machine) {
  return machine.substr(0, machine.find(", load "));
}

// The limit that follows from the baseline, and how to say so.
void take_from(const Baseline& baseline, const QualityFile& file, const QualityLimit& limit,
               const Measured& found, Gate& gate, const Warning& warn) {
  const auto before = baseline.find(found.model, limit.name, found.by);
  if (!before)
    throw wrong(limit.where, fmt::format("{} is relative to the baseline, but {} has no such value of {}; "
                                         "measure it with --save-baseline",
                                         limit.name, file.baseline.string(), found.model));
  const double factor = gate.at_least() ? 1 - *limit.change : 1 + *limit.change;
  gate.limit = before->value * factor;
  gate.basis = fmt::format("{:.4g} % of {:.6g}, found by mlx-encoder {} on {}", 100 * factor, before->value,
                           before->version, before->date);
  if (gate_kind(limit.name)->timed && warn && without_load(before->machine) != without_load(found.machine))
    warn(fmt::format("the baseline {} was measured on another machine ({}), this run on {}",
                     file.baseline.string(), before->machine, found.machine));
}

}  // namespace

QualityFile read_quality_file(const std::filesystem::path& path) {
  return Reading(path).result();
}

QualityCheck check_quality(const QualityFile& file, const Measured& found, std::vector<Gate> gates,
                           const std::set<std::string>& fixed, const Warning& warn) {
  QualityCheck check{.gates = std::move(gates), .unmeasured = {}};
  std::optional<Baseline> baseline;
  for (const auto& [name, limit] : limits_for(file, found.model)) {
    if (fixed.contains(name)) continue;
    const auto value = found.values.find(name);
    const GateSetting setting = gate_setting(name, limit.limit);
    if (!limit.limit && !limit.change) {
      set_gate(check.gates, setting);
      continue;
    }
    if (value == found.values.end()) {
      check.unmeasured.push_back(name);
      if (measures(found.by, *gate_kind(name)) && warn)
        warn(fmt::format(
            "{}: the gate {} was not measured here: {} has no such value, or an option left it out",
            limit.where, name, found.model));
      continue;
    }
    Gate gate{.tensor = setting.tensor, .metric = setting.metric};
    gate.value = value->second;
    gate.where = limit.where;
    if (limit.change && !baseline) baseline.emplace(file.baseline);
    if (limit.change)
      take_from(*baseline, file, limit, found, gate, warn);
    else
      gate.limit = *limit.limit;
    gate.passed = holds(gate);
    put_gate(check.gates, std::move(gate));
  }
  return check;
}

}  // namespace mlxe
