// What heads give: labels, entities, rankings, words for masks.
#include <algorithm>
#include <limits>
#include <numeric>

#include "base/utf8.h"
#include "call.h"
#include "evaluate/label_index.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

auto classification(const std::vector<std::string>& labels, const std::vector<float>& scores, size_t best,
                    const std::vector<float>& logits) {
  nb::dict by_label;
  for (size_t i = 0; i < scores.size(); ++i) by_label[labels[i].c_str()] = scores[i];
  return result<"results.Classification">("label"_a = labels.at(best), "score"_a = scores.at(best),
                                          "scores"_a = by_label, "logits"_a = logits);
}

auto classify(const Model& model, const Inputs& list, const nb::object& progress) {
  const std::vector<TextInput> inputs = inputs_of(list);
  const auto predictions =
      model.pace->run(bytes_of(inputs), progress, [encoder = model.encoder, inputs](CallState& call) {
        return encoder->classify(inputs, {.progress = call.progress(), .report = &call.report});
      });
  const std::vector<std::string> labels = distinct_names(model.encoder->info().labels);
  return list_of(predictions, [&](const Prediction& p) {
    return classification(labels, p.scores, static_cast<size_t>(p.best), p.logits);
  });
}

auto zero_shot(const Model& model, const Texts& list, const std::vector<std::string>& labels,
               const std::string& hypothesis_template, bool multi_label, const nb::object& progress) {
  const std::vector<std::string> texts = texts_of(list);
  const size_t bytes = bytes_of(texts) * labels.size() + bytes_of(labels) * texts.size();
  const auto scores = model.pace->run(
      bytes, progress,
      [encoder = model.encoder, texts, labels, hypothesis_template, multi_label](CallState& call) {
        return encoder->zero_shot(texts, labels,
                                  {.hypothesis_template = hypothesis_template,
                                   .multi_label = multi_label,
                                   .progress = call.progress(),
                                   .report = &call.report});
      });
  return list_of(scores, [&](const std::vector<float>& of_text) {
    const auto best = static_cast<size_t>(std::ranges::max_element(of_text) - of_text.begin());
    return classification(labels, of_text, best, {});
  });
}

auto tag(const Model& model, const Texts& list, const std::string& aggregation, std::optional<int64_t> stride,
         const nb::object& progress) {
  const Aggregation joined = parse_aggregation(aggregation);
  const std::vector<std::string> texts = texts_of(list);
  const auto tokens =
      model.pace->run(bytes_of(texts), progress, [encoder = model.encoder, texts, stride](CallState& call) {
        return encoder->score_tokens(texts,
                                     {.stride = stride, .progress = call.progress(), .report = &call.report});
      });
  nb::typed<nb::list, nb::typed<nb::list, Result<"results.Entity">>> all;
  for (size_t i = 0; i < texts.size(); ++i) {
    const CodePoints points(texts[i]);
    all.append(list_of(entities(tokens[i], model.encoder->info().token_labels, joined), [&](const Entity& e) {
      return result<"results.Entity">("label"_a = e.label, "score"_a = e.score, "start"_a = e.begin,
                                      "end"_a = e.end, "text"_a = std::string(points.part(e.begin, e.end)));
    }));
  }
  return all;
}

auto rerank(const Model& model, const std::string& query, const Texts& documents, size_t top_k, bool raw,
            const std::string& instruction, const nb::object& progress) {
  const std::vector<std::string> texts = texts_of(documents);
  const size_t bytes = bytes_of(texts) + (query.size() + instruction.size()) * texts.size();
  const auto ranked = model.pace->run(
      bytes, progress, [encoder = model.encoder, query, texts, top_k, raw, instruction](CallState& call) {
        return encoder->rerank(query, texts,
                               {.top_k = top_k,
                                .raw = raw,
                                .instruction = instruction,
                                .progress = call.progress(),
                                .report = &call.report});
      });
  return list_of(ranked, [&](const RankedDocument& d) {
    return result<"results.RankedDocument">("index"_a = d.index, "score"_a = d.score,
                                            "text"_a = texts[d.index]);
  });
}

auto filled(const FilledMask& mask) {
  return result<"results.FilledMask">("position"_a = mask.position,
                                      "fills"_a = list_of(mask.fills, [](const MaskFill& f) {
                                        return result<"results.MaskFill">("token"_a = f.token,
                                                                          "score"_a = f.score, "id"_a = f.id,
                                                                          "sequence"_a = f.sequence);
                                      }));
}

auto fill_mask(const Model& model, const Texts& list, int64_t top_k, const std::vector<std::string>& targets,
               const nb::object& progress) {
  const std::vector<std::string> texts = texts_of(list);
  const auto masks = model.pace->run(
      bytes_of(texts), progress, [encoder = model.encoder, texts, top_k, targets](CallState& call) {
        return encoder->fill_mask(
            texts, {.top_k = top_k, .targets = targets, .progress = call.progress(), .report = &call.report});
      });
  return list_of(masks, [](const std::vector<FilledMask>& of_text) { return list_of(of_text, filled); });
}

}  // namespace

void bind_heads(nb::class_<Model>& model) {
  model.def("classify", classify, "inputs"_a, "progress"_a.none(), "A results.Classification for each input.")
      .def("zero_shot", zero_shot, "texts"_a, "labels"_a, "hypothesis_template"_a, "multi_label"_a,
           "progress"_a.none(), "A results.Classification for each text.")
      .def("tag", tag, "texts"_a, "aggregation"_a, "stride"_a.none(), "progress"_a.none(),
           "A list of results.Entity for each text.")
      .def("rerank", rerank, "query"_a, "documents"_a, "top_k"_a, "raw"_a, "instruction"_a,
           "progress"_a.none(), "results.RankedDocument, the best first.")
      .def("fill_mask", fill_mask, "texts"_a, "top_k"_a, "targets"_a, "progress"_a.none(),
           "A list of results.FilledMask for each text.");
}

}  // namespace mlxe::python
