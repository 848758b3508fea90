#include "gates/baseline.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file_lock.h"
#include "base/output_file.h"
#include "format/json_file.h"
#include "gates/gate_names.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::array kCommands{"convert", "compare", "evaluate"};  // as MeasuredBy

const char* name(MeasuredBy by) {
  return kCommands[static_cast<size_t>(by)];
}

Measured read_run(const nlohmann::json& json) {
  Measured run{.model = json.at("model").get<std::string>(),
               .version = json.at("version").get<std::string>(),
               .date = json.at("date").get<std::string>(),
               .machine = json.at("machine").get<std::string>(),
               .values = json.at("values").get<GateValues>()};
  const auto command = json.at("command").get<std::string>();
  for (const MeasuredBy by : {MeasuredBy::convert, MeasuredBy::compare, MeasuredBy::evaluate})
    if (command == name(by)) {
      run.by = by;
      return run;
    }
  throw Error(ErrorCode::format, fmt::format("the command {}", shown(json.at("command"))));
}

}  // namespace

Baseline::Baseline(const std::filesystem::path& file) {
  const nlohmann::json json = read_json(file);
  const auto wrong = [&](const std::string& what) {
    return Error(
        ErrorCode::format,
        fmt::format("{}: found {}, expected a baseline that --save-baseline wrote; name another file",
                    file.string(), what));
  };
  try {
    for (const nlohmann::json& run : json.at("runs")) runs_.push_back(read_run(run));
  } catch (const nlohmann::json::exception&) {
    throw wrong("a value that is missing or of another type");
  } catch (const Error& error) {
    throw wrong(error.what());
  }
}

std::optional<BaselineValue> Baseline::find(const std::string& model, const std::string& gate,
                                            MeasuredBy by) const {
  std::optional<BaselineValue> found;
  for (const Measured& run : runs_) {
    const auto value = run.values.find(gate);
    if (run.model != model || value == run.values.end()) continue;
    if (!found || run.by == by) found = {value->second, run.version, run.date, run.machine};
  }
  return found;
}

void Baseline::put(const Measured& found) {
  std::erase_if(runs_, [&](const Measured& run) { return run.model == found.model && run.by == found.by; });
  runs_.push_back(found);
}

std::string Baseline::to_json() const {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const Measured& run : runs_) {
    nlohmann::ordered_json values = nlohmann::ordered_json::object();
    for (const auto& [gate, value] : run.values)
      if (std::isfinite(value)) values[gate] = value;  // a correlation with a constant is none
    runs.push_back({{"model", run.model},
                    {"command", name(run.by)},
                    {"version", run.version},
                    {"date", run.date},
                    {"machine", run.machine},
                    {"values", std::move(values)}});
  }
  const nlohmann::ordered_json json{{"runs", std::move(runs)}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void save_baseline(const std::filesystem::path& file, const Measured& found) {
  Baseline baseline;
  std::optional<FileLock> lock;  // reading and writing are one step among processes that share the file
  if (const std::optional<std::filesystem::path> stored = regular_output(file)) {
    lock.emplace(*stored, IfLocked::wait, "is writing this baseline");
    if (std::filesystem::exists(*stored)) baseline = Baseline(file);
  }
  baseline.put(found);
  write_whole_file(file, baseline.to_json());
}

void require_baseline_place(const std::filesystem::path& file) {
  require_writable(file);
  if (const auto stored = regular_output(file); stored && std::filesystem::exists(*stored)) Baseline{file};
}

}  // namespace mlxe
