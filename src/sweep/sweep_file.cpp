// matrix.toml; docs/matrix.md describes it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "format/json_file.h"
#include "gates/gate_names.h"
#include "gates/gates.h"
#include "hub/hub_name.h"
#include "mlx_encoder/matrix.h"
#include "quant/default_scheme.h"
#include "sweep/toml_table.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::usage, fmt::format("{}: {}", where, what));
}

// Runs a parser of an option's spelling, and says where in the file it stands.
template <class Parse>
auto located(const std::string& where, const Parse& parse) {
  try {
    return parse();
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("{}: {}", where, e.what()));
  }
}

// Names become folders.
void check_name(const std::string& where, const std::string& name) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (!plain || name.empty() || name[0] == '.')
    refuse(where,
           fmt::format("the name \"{}\" is no name of a folder; use letters, digits, \".\", \"_\", \"-\", "
                       "not beginning with \".\"",
                       name));
}

class Reader {
 public:
  Reader(const fs::path& file, const Warning& warn)
      : file_(read_toml(file)), base_(file.parent_path()), warn_(warn) {}

  Sweep sweep() {
    TomlTable top(file_, "");
    Sweep s{.file = file_.path, .output = path(top.text("output", "matrix"))};
    if (!top.truth("keep_models", true)) s.folders = ConvertedFolders::remove;
    std::vector<TomlTable> models = top.tables("model"), schemes = top.tables("scheme");
    top.expect_no_others();
    if (models.empty()) refuse(file_.path.string(), "no [[model]]; list at least one");
    if (schemes.empty()) refuse(file_.path.string(), "no [[scheme]]; list at least one");
    for (TomlTable& table : schemes) s.schemes.push_back(scheme(table));
    for (TomlTable& table : models) s.models.push_back(model(table, s.schemes));
    return s;
  }

 private:
  fs::path path(const std::string& written) const {
    return written.empty() ? fs::path() : (base_ / written).lexically_normal();
  }

  // A name on the hub stays a name: the caller finds its folder.
  SweepModel named_model(const std::string& written) const {
    const fs::path local = path(written);
    const std::optional<HubName> hub = fs::exists(local) ? std::nullopt : parse_hub_name(written);
    const fs::path shown = hub ? fs::path(hub->repo) : local;
    return {.name = (shown.has_filename() ? shown : shown.parent_path()).filename().string(),
            .path = hub ? fs::path(written) : local};
  }

  // Only the measurement shows whether this model has the value of a gate.
  std::vector<GateSetting> gates(TomlTable& table) {
    std::vector<GateSetting> settings;
    for (const std::string& text : table.texts("gates")) {
      const std::string where = table.where("gates");
      GateSetting setting = located(where, [&] { return parse_gate(text); });
      const std::string name = setting.tensor + "." + setting.metric;
      if (const auto renamed = renamed_gate(name)) {
        if (warn_) warn_(fmt::format("{}: the gate {} is now called {}; write that", where, name, *renamed));
        setting = gate_setting(*renamed, setting.limit);
      } else if (const auto kind = gate_kind(name); !kind) {
        refuse(where, fmt::format("no gate {}; {}", printable(name), known_gates(name)));
      } else if (!kind->matrix()) {
        refuse(where, fmt::format("{} is not measured by matrix; give the gate to {}", name,
                                  kind->compare ? "compare" : "convert"));
      }
      settings.push_back(std::move(setting));
    }
    return settings;
  }

  SweepScheme scheme(TomlTable& table) {
    SweepScheme s{.name = table.text("name")};
    if (s.name.empty()) refuse(table.where(), "a [[scheme]] without a name; add name = \"...\"");
    const std::string where = table.where("name");
    check_name(where, s.name);
    if (!scheme_names_.insert(s.name).second)
      refuse(where, fmt::format("the scheme {} stands here twice", s.name));
    s.scheme = stored_as(table);
    read_allocation(table, s);
    s.calibrate = table.text("calibrate");
    if (s.calibrate.empty())
      for (const char* key : {"method", "calibrate_limit", "calibrate_only"})
        if (table.has(key)) refuse(table.where(key), fmt::format("{} needs calibrate", key));
    if (!s.calibrate.empty() && s.calibrate != "model" && s.calibrate != "default")
      s.calibrate = path(s.calibrate).string();
    s.method = located(table.where("method"),
                       [&] { return parse_calibration_method(table.text("method", "auto")); });
    s.calibrate_limit = static_cast<size_t>(table.whole("calibrate_limit", 0));
    if (table.truth("calibrate_only", false)) {
      if (s.calibrate == "default")
        refuse(table.where("calibrate_only"),
               "calibrate_only leaves the built-in text out, which calibrate asks for");
      s.built_in = BuiltInText::left_out;
    }
    s.keep = table.texts("keep");
    s.overrides = table.texts("set");
    s.layout = located(table.where("layout"), [&] { return parse_layout(table.text("layout", "hf")); });
    s.gates = gates(table);
    table.expect_no_others();
    return s;
  }

  void read_allocation(TomlTable& table, SweepScheme& s) {
    constexpr std::pair<const char*, TargetKind> kTargets[] = {
        {"target_size", TargetKind::size},
        {"target_bits", TargetKind::bits},
        {"min_cosine", TargetKind::cosine},
        {"max_relative_error", TargetKind::relative_error},
        {"max_flips", TargetKind::flips}};
    std::vector<std::string> given;
    for (const auto& [key, kind] : kTargets)
      if (const std::string text = table.text_or_number(key); !text.empty()) {
        s.target = located(table.where(key), [&, which = kind] { return parse_target(which, text); });
        given.push_back(key);
      }
    if (s.preset = table.text("preset"); !s.preset.empty()) given.push_back("preset");
    if (s.recipe = path(table.text("recipe")); !s.recipe.empty()) given.push_back("recipe");
    if (given.size() > 1)
      refuse(table.where(given[1]),
             fmt::format("{} and {} both choose the bits of each matrix; give one", given[0], given[1]));
    for (const char* key : {"bits", "mode"})
      if (!given.empty() && table.has(key))
        refuse(table.where(key),
               fmt::format("{} says how each matrix is stored; leave {} out", given[0], key));
  }

  Scheme stored_as(TomlTable& table) {
    const Mode mode = located(table.where("mode"), [&] { return parse_mode(table.text("mode", "affine")); });
    Scheme scheme = default_scheme(mode);
    scheme.dtype = located(table.where("dtype"), [&] { return parse_dtype(table.text("dtype", "float16")); });
    constexpr int64_t kMost = 1 << 20;  // beyond any of them, within an int
    scheme.bits = static_cast<int>(std::min(kMost, table.whole("bits", scheme.bits)));
    scheme.group_size = static_cast<int>(std::min(kMost, table.whole("group_size", scheme.group_size)));
    located(table.where(table.has("bits") ? "bits" : "name"), [&] {
      validate(scheme);
      return 0;
    });
    return scheme;
  }

  SweepModel model(TomlTable& table, const std::vector<SweepScheme>& schemes) {
    const std::string written = table.text("path");
    if (written.empty()) refuse(table.where(), "a [[model]] without a path; add path = \"FOLDER\"");
    SweepModel m = named_model(written);
    m.name = table.text("name", m.name);
    const std::string where = table.where(table.has("name") ? "name" : "path");
    check_name(where, m.name);
    if (!model_names_.insert(m.name).second)
      refuse(where, fmt::format("the model {} stands here twice", m.name));
    m.texts = path(table.text("texts"));
    read_task(table, m);
    if (m.texts.empty() && !m.task)
      refuse(where,
             fmt::format("{} has nothing to be compared on; add texts = \"FILE\", or task and data", m.name));
    m.calibration = path(table.text("calibration"));
    m.limit = table.whole("limit", 0);
    m.max_length = table.whole("max_length", 0);
    m.gates = gates(table);
    m.skip = table.texts("skip");
    table.expect_no_others();
    for (const std::string& name : m.skip)
      if (std::ranges::find(schemes, name, &SweepScheme::name) == schemes.end())
        refuse(table.where("skip"), fmt::format("skip: there is no such scheme as \"{}\"", name));
    for (const SweepScheme& s : schemes)
      if ((s.calibrate == "model" || (s.target && s.calibrate.empty())) && m.calibration.empty() &&
          std::ranges::find(m.skip, s.name) == m.skip.end())
        refuse(where, fmt::format("{} has no texts for {}, which takes the model's own; add calibration = "
                                  "\"FILE\" or skip the scheme",
                                  m.name, s.name));
    return m;
  }

  void read_task(TomlTable& table, SweepModel& m) {
    const std::string task = table.text("task");
    m.data = path(table.text("data"));
    if (task.empty() && !m.data.empty())
      refuse(table.where("data"), "data without a task; add task = \"...\"");
    if (!task.empty() && m.data.empty())
      refuse(table.where("task"), "a task without data; add data = \"FILE\"");
    if (task.empty())
      for (const char* key : {"format", "columns", "qrels", "tagging"})
        if (table.has(key)) refuse(table.where(key), fmt::format("{} needs a task", key));
    if (!task.empty()) m.task = located(table.where("task"), [&] { return parse_task(task); });
    m.reading.format = table.text("format");
    m.reading.qrels = path(table.text("qrels"));
    m.tagging =
        located(table.where("tagging"), [&] { return parse_tagging(table.text("tagging", "lenient")); });
    for (const std::string& column : table.texts("columns")) {
      const size_t equals = column.find('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == column.size())
        refuse(table.where("columns"), fmt::format("found \"{}\", expected \"ROLE=NAME\"", column));
      m.reading.columns[column.substr(0, equals)] = column.substr(equals + 1);
    }
  }

  TomlFile file_;
  fs::path base_;
  const Warning& warn_;
  std::set<std::string> model_names_, scheme_names_;
};

}  // namespace

Sweep read_sweep(const fs::path& file, const Warning& warning) {
  return Reader(file, warning).sweep();
}

}  // namespace mlxe
