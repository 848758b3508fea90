// Evaluation as JSON; docs/json/evaluate.md is its description.
#include <cmath>
#include <nlohmann/json.hpp>

#include "mlx_encoder/evaluate.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN (a correlation with a constant): null.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json model(const EvaluatedModel& m) {
  return {{"folder", m.folder},
          {"model_type", m.model_type},
          {"engine", m.engine},
          {"variant", m.variant},
          {"activations", m.activations}};
}

Json figure(const TaskFigure& f) {
  Json json{{"value", number(f.value)}};
  if (!f.original) return json;
  json["original"] = number(*f.original);
  json["difference"] = number(f.value - *f.original);
  json["low"] = f.difference ? Json(f.difference->low) : Json(nullptr);
  json["high"] = f.difference ? Json(f.difference->high) : Json(nullptr);
  return json;
}

Json flips(const Evaluation& e, const TaskData& data) {
  Json items = Json::array();
  for (const FlippedItem& f : e.flips) {
    const TextInput& text = data.texts.at(f.item);
    Json item{{"item", f.item}, {"line", data.lines.at(f.item)}, {"text", text.text}};
    if (text.pair) item["text_pair"] = *text.pair;
    item.update({{"gold", f.gold}, {"original", f.original}, {"evaluated", f.evaluated}});
    items.push_back(std::move(item));
  }
  return {
      {"count", e.flips.size()},
      {"rate", static_cast<double>(e.flips.size()) / static_cast<double>(e.words > 0 ? e.words : e.items)},
      {"items", std::move(items)}};
}

}  // namespace

std::string to_json(const Evaluation& e, const TaskData& data) {
  Json json{{"version", kVersion}, {"task", name(e.task)}, {"data", e.source}, {"items", e.items}};
  if (e.words > 0) json["words"] = e.words;
  if (e.documents > 0) json["documents"] = e.documents;
  json["models"]["evaluated"] = model(e.model);
  if (e.original) json["models"]["original"] = model(*e.original);
  for (const TaskFigure& f : e.figures) json["metrics"][f.metric] = figure(f);
  if (e.original)
    json["bootstrap"] = {{"resamples", e.bootstrap.resamples},
                         {"confidence", e.bootstrap.confidence},
                         {"seed", e.bootstrap.seed}};
  for (const LabelFigure& l : e.labels) {
    Json label{
        {"label", l.label}, {"gold", l.gold}, {"precision", l.precision}, {"recall", l.recall}, {"f1", l.f1}};
    if (l.original_f1) label["original_f1"] = *l.original_f1;
    json["labels"].push_back(std::move(label));
  }
  if (e.mcnemar) {
    json["mcnemar"] = {{"only_original_right", e.mcnemar->only_original},
                       {"only_evaluated_right", e.mcnemar->only_evaluated},
                       {"p", e.mcnemar->p},
                       {"test", e.mcnemar->exact ? "exact" : "chi-square"}};
    json["flips"] = flips(e, data);
  }
  json["warnings"] = e.warnings;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mlxe
