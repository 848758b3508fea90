#include "sweep/cell_record.h"

#include <limits>

#include "format/json_file.h"
#include "report/json_parts.h"

namespace mlxe {
namespace {

using Json = nlohmann::ordered_json;

double number_of(const nlohmann::json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json cell_gates_json(const std::vector<Gate>& gates) {
  Json list = Json::array();
  for (const Gate& g : gates)
    list.push_back({{"tensor", g.tensor},
                    {"metric", g.metric},
                    {"limit", g.limit},
                    {"value", json_number(g.value)},
                    {"passed", g.passed}});
  return list;
}

VectorSpace vectors_of(const nlohmann::json& j) {
  return {.texts = j.at("texts"),
          .mean_cosine = number_of(j.at("mean_cosine")),
          .relative_error = number_of(j.at("relative_error")),
          .compared = j.at("compared"),
          .neighbours = j.at("neighbours"),
          .neighbours_kept = number_of(j.at("neighbours_kept"))};
}

Json task_json(const SweepCell& c) {
  Json task{{"metric", c.metric}, {"original", json_number(c.original)}, {"value", json_number(c.value)}};
  task["low"] = c.difference ? json_number(c.difference->low) : Json(nullptr);
  task["high"] = c.difference ? json_number(c.difference->high) : Json(nullptr);
  return task;
}

// Throws nlohmann's exceptions where the record is not as cell_json() writes it.
SweepCell cell_of(const nlohmann::json& j) {
  SweepCell c{.model = j.at("model"), .scheme = j.at("scheme"), .state = CellState::recorded};
  c.original_bytes = j.at("original_bytes");
  c.bytes = j.at("bytes");
  c.bits_per_weight = j.at("bits_per_weight");
  const nlohmann::json& output = j.at("output");
  c.tensor = output.at("tensor");
  c.texts = output.at("texts");
  c.cosine_mean = number_of(output.at("cosine").at("mean"));
  c.cosine_p1 = number_of(output.at("cosine").at("p1"));
  c.cosine_min = number_of(output.at("cosine").at("min"));
  if (output.contains("vectors")) c.vectors = vectors_of(output.at("vectors"));
  if (j.contains("task")) {
    const nlohmann::json& task = j.at("task");
    c.metric = task.at("metric");
    c.original = number_of(task.at("original"));
    c.value = number_of(task.at("value"));
    if (!task.at("low").is_null()) c.difference = Interval{task.at("low"), task.at("high")};
  }
  if (j.contains("flips")) c.flips = j.at("flips").get<double>();
  for (const nlohmann::json& g : j.at("gates"))
    c.gates.push_back(
        {g.at("tensor"), g.at("metric"), g.at("limit"), number_of(g.at("value")), g.at("passed")});
  c.warnings = j.at("warnings").get<std::vector<std::string>>();
  const nlohmann::json& made = j.at("measured_with");
  c.engine = made.at("engine");
  c.variant = made.at("variant");
  c.machine = made.at("machine");
  c.version = made.at("version");
  c.date = made.at("date");
  return c;
}

}  // namespace

Json cell_json(const SweepCell& c) {
  Json json{{"model", c.model}, {"scheme", c.scheme}, {"state", name(c.state)}};
  if (c.error) json["error"] = {{"code", name(*c.error)}, {"message", c.message}};
  if (c.bytes > 0) {
    json["original_bytes"] = c.original_bytes;
    json["bytes"] = c.bytes;
    json["bits_per_weight"] = c.bits_per_weight;
  }
  if (!c.is_done()) return json;
  json["output"] = {{"tensor", c.tensor},
                    {"texts", c.texts},
                    {"cosine",
                     {{"mean", json_number(c.cosine_mean)},
                      {"p1", json_number(c.cosine_p1)},
                      {"min", json_number(c.cosine_min)}}}};
  if (c.vectors) json["output"]["vectors"] = vectors_json(*c.vectors);
  if (!c.metric.empty()) json["task"] = task_json(c);
  if (c.flips) json["flips"] = *c.flips;
  json["passed"] = c.passed();
  json["gates"] = cell_gates_json(c.gates);
  json["warnings"] = c.warnings;
  json["measured_with"] = {{"engine", c.engine},
                           {"variant", c.variant},
                           {"machine", c.machine},
                           {"version", c.version},
                           {"date", c.date}};
  return json;
}

std::optional<SweepCell> read_record(const std::filesystem::path& file, const nlohmann::json& key) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  try {
    const nlohmann::json record = read_json(file);
    if (record.at("record_version") != kRecordVersion || record.at("made_from") != key) return std::nullopt;
    return cell_of(record.at("cell"));
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace mlxe
