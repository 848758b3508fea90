#include "mlx_encoder/compare.h"

#include "call.h"
#include "mlx_encoder/evaluate.h"
#include "mlx_encoder/hub.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

std::filesystem::path folder_of(const std::string& model, CallState& call) {
  return model_folder(model, {.warning = call.warning(), .progress = call.progress()});
}

std::tuple<std::string, std::string, std::string, std::vector<std::string>> compare_models(
    const std::string& original, const std::string& quantized, const Inputs& texts,
    const std::vector<std::string>& labels, const std::vector<double>& scores,
    std::optional<double> gate_cosine, double gate_mse, double gate_max_abs,
    const std::vector<std::string>& gate_limit, const std::string& engine, const std::string& activations,
    int threads, int64_t max_length, bool allow_unknown, const nb::object& progress) {
  CompareOptions options{.engine = parse_engine(engine),
                         .run_mode = parse_activations(activations),
                         .threads = threads,
                         .max_length = max_length,
                         .allow_unknown = allow_unknown};
  options.limits.cosine = gate_cosine;
  options.limits.mse = gate_mse;
  options.limits.max_abs = gate_max_abs;
  for (const std::string& gate : gate_limit) options.gates.push_back(parse_gate(gate));
  const Comparison c = run(progress, OnInterrupt::leave,
                           [original, quantized, input = CompareInput{inputs_of(texts), labels, scores},
                            options](CallState& call) mutable {
                             options.warning = call.warning();
                             options.progress = call.progress();
                             Comparison comparison = compare(folder_of(original, call),
                                                             folder_of(quantized, call), input, options);
                             comparison.command = "mlx_encoder.compare";
                             return comparison;
                           });
  std::vector<std::string> failures;
  for (const Gate& gate : c.gates)
    if (!gate.passed) failures.push_back(gate.failure());
  return {to_json(c), to_markdown(c), to_html(c), failures};
}

std::string evaluate_model(const std::string& model, const std::string& data, const std::string& task,
                           const std::string& original, const std::string& input_format,
                           const std::map<std::string, std::string>& columns, const std::string& qrels,
                           int64_t limit, const std::string& tagging, const std::string& query_prompt,
                           const std::string& document_prompt, int64_t resamples, double confidence,
                           uint64_t seed, const std::string& engine, const std::string& activations,
                           int threads, int64_t max_length, bool allow_unknown, const nb::object& progress) {
  const TaskDataOptions reading{.format = input_format, .columns = columns, .qrels = qrels, .limit = limit};
  EvaluateOptions options{.engine = parse_engine(engine),
                          .activations = parse_activations(activations),
                          .threads = threads,
                          .max_length = max_length,
                          .allow_unknown = allow_unknown,
                          .query_prompt = query_prompt,
                          .document_prompt = document_prompt,
                          .tagging = parse_tagging(tagging),
                          .bootstrap = {.resamples = resamples, .confidence = confidence, .seed = seed}};
  return run(progress, OnInterrupt::leave,
             [model, original, data, reading, what = parse_task(task), options](CallState& call) mutable {
               options.warning = call.warning();
               options.progress = call.progress();
               const TaskData items = read_task_data(what, data, reading);
               const std::filesystem::path beside =
                   original.empty() ? std::filesystem::path() : folder_of(original, call);
               return to_json(evaluate(folder_of(model, call), beside, what, items, options), items);
             });
}

}  // namespace

void bind_compare(nb::module_& m) {
  m.def("compare", compare_models, "original"_a, "quantized"_a, "texts"_a, "labels"_a, "scores"_a,
        "gate_cosine"_a.none(), "gate_mse"_a, "gate_max_abs"_a, "gate_limit"_a, "engine"_a, "activations"_a,
        "threads"_a, "max_length"_a, "allow_unknown"_a, "progress"_a.none(),
        "The reports as JSON, Markdown and HTML, and a sentence for each gate that failed.");
  m.def("evaluate", evaluate_model, "model"_a, "data"_a, "task"_a, "original"_a, "input_format"_a,
        "columns"_a, "qrels"_a, "limit"_a, "tagging"_a, "query_prompt"_a, "document_prompt"_a, "resamples"_a,
        "confidence"_a, "seed"_a, "engine"_a, "activations"_a, "threads"_a, "max_length"_a, "allow_unknown"_a,
        "progress"_a.none(), "The report as JSON.");
}

}  // namespace mlxe::python
