// Comparison as JSON; docs/json/compare.md is its description.
#include <nlohmann/json.hpp>

#include "bench/measure.h"
#include "mlx_encoder/compare.h"
#include "report/json_parts.h"

namespace mlxe {
namespace {

using Json = nlohmann::ordered_json;

Json difference(const Difference& d) {
  return {
      {"rows", d.rows},
      {"columns", d.columns},
      {"cosine",
       {{"mean", d.cosine.mean}, {"p1", d.cosine.p1}, {"min", d.cosine.min}, {"worst_text", d.cosine.worst}}},
      {"mse", d.mse},
      {"max_abs", d.max_abs},
      {"relative_max", d.relative_max}};
}

Json named(const NamedDifference& d, const char* key) {
  Json json{{key, d.name}};
  json.update(difference(d.difference));
  return json;
}

Json labels(const LabelDifference& d) {
  Json listed = Json::array();
  for (const Flip& f : d.listed)
    listed.push_back({{"text", f.text},
                      {"original", f.original},
                      {"quantized", f.quantized},
                      {"margin", f.margin},
                      {"content", f.content}});
  Json moves = Json::array();
  for (const LabelMove& m : d.moves)
    moves.push_back({{"original", m.original}, {"quantized", m.quantized}, {"texts", m.texts}});
  return {
      {"texts", d.texts},
      {"by_token", d.by_token},
      {"kl", d.kl},
      {"flips", d.flips},
      {"flip_rate", static_cast<double>(d.flips) / static_cast<double>(d.texts)},
      {"margin",
       {{"original", d.margin_original}, {"quantized", d.margin_quantized}, {"flipped", d.margin_flipped}}},
      {"moves", moves},
      {"flipped_texts", listed}};
}

Json task(const std::vector<TaskScore>& scores) {
  Json json = Json::object();
  for (const TaskScore& t : scores)
    json[t.metric] = {{"original", json_number(t.original)}, {"quantized", json_number(t.quantized)}};
  return json;
}

Json model(const ComparedModel& m) {
  Json groups = Json::array();
  for (const StoredSize::Group& g : m.size.groups)
    groups.push_back({{"part", g.part},
                      {"scheme", g.scheme},
                      {"tensors", g.tensors},
                      {"parameters", g.parameters},
                      {"bytes", g.bytes}});
  return {
      {"folder", m.folder},   {"model_type", m.model_type}, {"scheme", m.size.scheme}, {"engine", m.engine},
      {"variant", m.variant}, {"notes", m.notes},           {"parts", m.size.parts},   {"groups", groups}};
}

Json size(const StoredSize& s) {
  return {{"weight_bytes", s.weight_bytes},
          {"folder_bytes", s.folder_bytes},
          {"parameters", s.parameters},
          {"bits_per_weight", s.bits_per_weight}};
}

Json checks(const EngineChecks& c) {
  return {{"texts", c.texts},
          {"deterministic", c.repeat_difference == 0},
          {"repeat_difference", c.repeat_difference},
          {"batch_equals_single", c.batch_difference <= c.batch_tolerance},
          {"batch_difference", c.batch_difference},
          {"batch_tolerance", c.batch_tolerance}};
}

}  // namespace

std::string to_json(const Comparison& c) {
  Json json{{"command", c.command},
            {"version", c.version},
            {"date", c.date},
            {"machine", c.machine},
            {"verdict", c.verdict()},
            {"passed", c.passed()},
            {"texts", c.texts},
            {"tokens", c.tokens},
            {"models", {{"original", model(c.original)}, {"quantized", model(c.quantized)}}}};

  NamedDifference output{c.output, c.tensor(c.output)};
  json["output"] = named(output, "tensor");
  json["tensors"] = Json::object();
  for (const NamedDifference& t : c.tensors) json["tensors"][t.name] = difference(t.difference);
  json["layers"] = Json::array();
  for (const NamedDifference& l : c.layers) json["layers"].push_back(named(l, "name"));
  if (c.vectors) json["vectors"] = vectors_json(*c.vectors);
  json["drift"] = Json::array();
  for (const Drift& d : c.drift)
    json["drift"].push_back(
        {{"sample", d.sample}, {"values", d.original.size()}, {"ks", d.statistic}, {"ks_p", d.p}});
  if (c.labels) json["labels"] = labels(*c.labels);
  if (!c.task.empty()) json["task"] = task(c.task);
  if (c.run_mode) {
    Json& mode =
        json["run_mode"] = {{"activations", c.run_mode->activations}, {"variant", c.run_mode->variant}};
    for (const NamedDifference& t : c.run_mode->tensors) mode["tensors"][t.name] = difference(t.difference);
    if (c.run_mode->vectors) mode["vectors"] = vectors_json(*c.run_mode->vectors);
    if (c.run_mode->labels) mode["labels"] = labels(*c.run_mode->labels);
    if (!c.run_mode->task.empty()) mode["task"] = task(c.run_mode->task);
  }

  json["size"] = {{"original", size(c.original.size)}, {"quantized", size(c.quantized.size)}};
  for (const auto& [side, m] : {std::pair("original", &c.original), std::pair("quantized", &c.quantized)}) {
    if (!m->measured) continue;
    const Json measured = measurement_json(*m->measured);
    for (const char* key : {"memory", "cold_start_ms", "latency_ms", "throughput"})
      json[key][side] = measured[key];
    json["measured_on"][side] = {
        {"engine", measured["engine"]}, {"variant", measured["variant"]}, {"threads", measured["threads"]}};
  }
  json["checks"] = {{"original", checks(c.original.checks)}, {"quantized", checks(c.quantized.checks)}};

  json["bits"] = c.bits;
  json["gates"] = gates_json(c.gates);
  json["unmeasured_gates"] = c.unmeasured;
  json["worst_texts"] = Json::array();
  for (const WorstText& w : c.worst) {
    Json worst{{"text", w.text}};
    if (w.pair) worst["text_pair"] = *w.pair;
    worst["tokens"] = w.tokens;
    worst["cosine"] = w.cosine;
    json["worst_texts"].push_back(std::move(worst));
  }
  json["warnings"] = c.warnings;
  // Texts were checked to be UTF-8; a folder's name need not be.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mlxe
