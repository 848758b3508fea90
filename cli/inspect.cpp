// mlx-encoder inspect: what a model folder stores, and which programs can load it.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "base/wording.h"
#include "command.h"
#include "encoder/model_loader.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/inspect.h"
#include "model_names.h"
#include "models/plan_text.h"
#include "print_json.h"

namespace mlxe::cli {
namespace {

constexpr size_t kListedChanges = 3;  // most changes in a message

struct InspectArguments {
  std::string folder;
  int threads = 0;
  bool tensors = false, plan = false, json = false;
};

// The scheme of a tensor, in words. (Mode fake: floats with values on a grid of some bits.)
std::string scheme_of(const InspectedTensor& t) {
  if (t.scheme.mode == Mode::fake) return fmt::format("fake {}-bit in {}", t.scheme.bits, name(t.dtype));
  if (t.scheme.mode == Mode::none) return name(t.dtype);
  return to_string(t.scheme);
}

nlohmann::json to_json(const Inspection& in, const std::string& folder) {
  nlohmann::json tensors = nlohmann::json::array(), components = nlohmann::json::array(),
                 readers = nlohmann::json::array();
  for (const InspectedTensor& t : in.tensors)
    tensors.push_back(
        {{"name", t.name},
         {"shape", t.shape},
         {"scheme", scheme_of(t)},
         {"mode", name(t.scheme.mode)},
         {"bits", t.scheme.mode == Mode::none ? static_cast<int>(8 * size_of(t.dtype)) : t.scheme.bits},
         {"group_size", t.scheme.group_size},
         {"dtype", name(t.dtype)},
         {"bytes", t.bytes},
         {"bits_per_weight", t.bits_per_weight},
         {"component", t.component},
         {"finding", t.finding}});
  for (const ComponentSize& c : in.components)
    components.push_back({{"component", c.component},
                          {"tensors", c.tensors},
                          {"parameters", c.parameters},
                          {"bytes", c.bytes}});
  for (const ReaderVerdict& r : in.readers)
    readers.push_back({{"reader", r.reader}, {"version", r.version}, {"loads", r.loads}, {"why", r.why}});
  return {{"folder", folder},
          {"model_type", in.model_type},
          {"diagnosis", name(in.diagnosis)},
          {"evidence", in.evidence},
          {"bytes", in.bytes},
          {"parameters", in.parameters},
          {"bits_per_weight", in.bits_per_weight},
          {"bytes_at_8_bits", in.bytes_at_8_bits ? nlohmann::json(in.bytes_at_8_bits) : nlohmann::json()},
          {"mode_at_8_bits", in.bytes_at_8_bits ? nlohmann::json(name(in.mode_at_8_bits)) : nlohmann::json()},
          {"components", components},
          {"heads", in.heads},
          {"readers", readers},
          {"unknown_keys", in.unknown_keys},
          {"changes", in.changes},
          {"warnings", in.warnings},
          {"tensors", tensors}};
}

void print_tensors(const Inspection& in) {
  size_t width = 0;
  for (const InspectedTensor& t : in.tensors) width = std::max(width, t.name.size());
  for (const InspectedTensor& t : in.tensors)
    std::cout << fmt::format("{:<{}}  {:>14}  {:<24}  {:>12}  {:>6.2f}  {:<12}  {}\n", t.name, width,
                             to_string(t.shape), scheme_of(t), t.bytes, t.bits_per_weight, t.component,
                             t.finding);
  std::cout << '\n';
}

// The reader and its version, if it has one.
std::string reader_name(const ReaderVerdict& r) {
  return r.version.empty() ? r.reader : r.reader + " " + r.version;
}

void print(const Inspection& in, const InspectArguments& o) {
  if (o.tensors) print_tensors(in);
  std::cout << fmt::format("{} ({}): {}{}\n", o.folder, in.model_type,
                           in.diagnosis == Diagnosis::fake ? "fake quantization" : name(in.diagnosis),
                           in.changes.empty() ? "" : ", not as it was converted");
  for (const std::string& change : in.changes) std::cout << "  " << cleaned(change) << '\n';
  for (const std::string& sentence : in.evidence) std::cout << "  " << sentence << '\n';
  std::cout << fmt::format("\n{:.2f} MiB of weights, {:.2f} million parameters, {:.2f} bits a weight\n",
                           mib(in.bytes), static_cast<double>(in.parameters) / 1e6, in.bits_per_weight);
  if (in.bytes_at_8_bits && in.bytes_at_8_bits < in.bytes)
    std::cout << fmt::format("at a real 8 bits it would be {:.2f} MiB: mlx-encoder convert -q {}{}\n",
                             mib(in.bytes_at_8_bits), in.mode_at_8_bits == Mode::int8 ? "--q-mode int8 " : "",
                             o.folder);
  std::cout << "\nwhere the bytes go\n";
  for (const ComponentSize& c : in.components)
    std::cout << fmt::format(
        "  {:<13} {:>10.2f} MiB  {:>5.1f} %  {:>6.2f} bits a weight\n", c.component, mib(c.bytes),
        in.bytes ? 100.0 * static_cast<double>(c.bytes) / static_cast<double>(in.bytes) : 0.0,
        c.parameters ? 8.0 * static_cast<double>(c.bytes) / static_cast<double>(c.parameters) : 0.0);
  if (!in.heads.empty()) std::cout << fmt::format("\nheads: {}\n", fmt::join(in.heads, ", "));
  std::cout << "\nreaders\n";
  size_t width = 0;
  for (const ReaderVerdict& r : in.readers) width = std::max(width, reader_name(r).size());
  for (const ReaderVerdict& r : in.readers) {
    std::cout << fmt::format("  {:<{}}  {}\n", reader_name(r), width,
                             r.loads ? "loads it" : "does not load it");
    for (const std::string& why : r.why) std::cout << fmt::format("    {}{}\n", r.loads ? "but " : "", why);
  }
  for (const std::string& key : in.unknown_keys)
    std::cout << fmt::format("\nconfig.json: the key \"{}\" is not known and is ignored\n", key);
  for (const std::string& warning : in.warnings) std::cerr << "warning: " << cleaned(warning) << '\n';
}

nlohmann::json plan_json(const Plan& plan, const std::string& folder, const StoredAs& stored) {
  const PlanGraph& graph = plan.whole;
  nlohmann::json values = nlohmann::json::array(), ops = nlohmann::json::array(), layers = ops;
  for (const PlanValue& v : graph.values)
    values.push_back({{"rows", name(v.rows)}, {"columns", v.columns}, {"made_by", v.name}});
  for (const PlanOp& op : graph.ops) {
    nlohmann::json modules = nlohmann::json::array();
    for (const int m : op.modules)
      modules.push_back(
          {{"name", plan.at(m).name}, {"stored", stored(plan.parameter(plan.at(m).weight).name)}});
    ops.push_back(
        {{"op", name(op.kind)}, {"inputs", op.inputs}, {"outputs", op.outputs}, {"modules", modules}});
  }
  for (const PlanLayer& layer : graph.layers)
    layers.push_back({{"first_op", layer.first_op}, {"output", layer.output}});
  nlohmann::json outputs = nlohmann::json::object();
  for (const OutputEntry& o : kOutputTable)
    if (graph.output(o.output) != kNoValue) outputs[o.name] = graph.output(o.output);
  return {{"folder", folder}, {"values", values}, {"ops", ops}, {"layers", layers}, {"outputs", outputs}};
}

// Names the files that differ from the record in mlx_encoder.json. Returns the exit status.
int report_changes(const std::vector<std::string>& changes) {
  if (changes.empty()) return 0;
  std::cerr << "mlx-encoder: " << cleaned(listed(changes, kListedChanges, "; ")) << '\n';
  return exit_status(ErrorCode::format);
}

int print_plan(const InspectArguments& o) {
  if (o.tensors)
    throw Error(ErrorCode::usage, "--plan and --tensors print different things; give one of the two");
  const LoadedModel loaded = load_model(o.folder, warnings(Strictness::warn));
  const StoredAs stored = [&](const std::string& tensor) {
    const auto& all = loaded.model.plan.parameters;
    const Parameter& parameter = *std::ranges::find(all, tensor, &Parameter::name);
    const StoredWeight weight = stored_weight(loaded.checkpoint, loaded.sentence, parameter);
    return weight.scheme.mode == Mode::none ? std::string(name(weight.dtype)) : to_string(weight.scheme);
  };
  if (o.json)
    print_json(plan_json(loaded.model.plan, o.folder, stored));
  else
    std::cout << to_text(loaded.model.plan, loaded.model.plan.whole, stored);
  return report_changes(changed_files(o.folder));
}

}  // namespace

void add_inspect(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("inspect", "Show what a model folder stores and which programs can load it");
  auto o = std::make_shared<InspectArguments>();
  command->add_option("FOLDER", o->folder, "Model: " + kModelForms)->required();
  command->add_flag("--tensors", o->tensors, "List every tensor");
  command->add_flag("--plan", o->plan, "Print what the model computes: operations, shapes, modules, bits");
  command->add_option("--threads", o->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(at_least(0));
  command->add_flag("--json", o->json, "Print one JSON object (docs/json.md)");
  command->callback([o, &run] {
    run = [o] {
      if (o->plan) return print_plan(*o);
      const Inspection in = inspect_model(o->folder, o->threads);
      if (o->json)
        print_json(to_json(in, o->folder));
      else
        print(in, *o);
      return report_changes(in.changes);
    };
  });
}

}  // namespace mlxe::cli
