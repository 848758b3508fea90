// mlx-encoder doctor: what this machine has, what the program would use, what is missing.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "command.h"
#include "convert/mlx_embeddings_layout.h"
#include "engine_cpu/cpu_report.h"
#include "engine_mlx/mlx_engine.h"
#include "format/checkpoint.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "model_names.h"
#include "models/engine.h"
#include "models/outputs.h"
#include "models/registry.h"
#include "print_json.h"

namespace mlxe::cli {
namespace {

nlohmann::json examine() {
  const MlxStatus mlx = mlx_status();
  nlohmann::json devices = nlohmann::json::array();
  for (const MlxDevice& d : mlx.devices) devices.push_back({{"kind", d.kind}, {"name", d.name}});
  const CpuReport cpu = cpu_report();
  const MachinePeaks peaks = measured_peaks(cpu.cores);
  return {{"version", kVersion},
          {"mlx",
           {{"available", mlx.available},
            {"version", mlx.version},
            {"device", mlx.device},
            {"devices", devices},
            {"module", mlx.module_path},
            {"library", mlx.library_path},
            {"reason", mlx.reason}}},
          {"cpu",
           {{"cores", cpu.cores},
            {"variants_compiled", cpu.compiled},
            {"variants_runnable", cpu.runnable},
            {"variant_chosen", cpu.chosen},
            {"peak_gflops_float32", peaks.float32},
            {"peak_gops_int8", peaks.int8},
            {"peak_gflops_bf16", peaks.bf16},
            {"peak_read_gb_per_s", peaks.read}}},
          {"engine_auto", mlx_has_gpu() ? "mlx" : "cpu"}};
}

// What tools/make_support_table.py makes docs/models.md of.
nlohmann::json families(const std::vector<std::string>& folders) {
  nlohmann::json list = nlohmann::json::array(), outputs = list, of = nlohmann::json::object();
  for (const std::string& folder : folders)
    of[folder] = find_architecture(Checkpoint::open(folder).config()).model_type;
  for (const OutputEntry& o : kOutputTable)
    if (o.output != Output::layers && o.output != Output::hidden) outputs.push_back(o.name);
  for (const Architecture& a : architectures()) {
    nlohmann::json heads = nlohmann::json::object();
    for (const auto& [output, module] : {std::pair(Output::text_logits, a.sequence_classification),
                                         std::pair(Output::token_logits, a.token_classification),
                                         std::pair(Output::span_logits, a.question_answering),
                                         std::pair(Output::choice_logits, a.multiple_choice)})
      if (module != nullptr) heads[entry(output).name] = module;
    if (a.masked_head != nullptr)
      for (const Output o : {Output::chosen_logits, Output::term_weights}) heads[entry(o).name] = "";
    for (const Output o : {Output::sentence, Output::token_vectors, Output::token_weights})
      heads[entry(o).name] = "";
    list.push_back({{"model_type", a.model_type},
                    {"heads", heads},
                    {"mlx_embeddings", has_mlx_embeddings_layout(a.model_type)},
                    {"proved_with", a.proved_with}});
  }
  return {{"engines", {"cpu", "mlx"}}, {"outputs", outputs}, {"families", list}, {"folders", of}};
}

struct DoctorArguments {
  bool json = false, families = false;
  std::vector<std::string> folders;
};

int print_families(const DoctorArguments& o) {
  const nlohmann::json all = families(o.folders);
  if (o.json) {
    print_json(all);
    return 0;
  }
  for (const auto& [folder, model_type] : all["folders"].items())
    std::cout << fmt::format("{}: {}\n", folder, model_type.get<std::string>());
  if (!o.folders.empty()) return 0;
  for (const nlohmann::json& family : all["families"]) {
    std::vector<std::string> heads;
    for (const auto& [output, module] : family["heads"].items()) heads.push_back(output);
    std::cout << fmt::format("{:<12}  {:<40}  {}\n", family["model_type"].get<std::string>(),
                             fmt::format("{}", fmt::join(heads, ", ")),
                             family["mlx_embeddings"].get<bool>() ? "--layout mlx-embeddings" : "");
  }
  return 0;
}

int doctor(bool json) {
  const nlohmann::json r = examine();
  if (json) {
    print_json(r);
    return 0;
  }
  const auto& cpu = r["cpu"];
  const auto& mlx = r["mlx"];
  const auto list = [](const nlohmann::json& a) {
    return fmt::format("{}", fmt::join(a.get<std::vector<std::string>>(), ", "));
  };
  std::cout << fmt::format("mlx-encoder       {}\n", r["version"].get<std::string>())
            << fmt::format("--engine auto     {}\n", r["engine_auto"].get<std::string>())
            << fmt::format("cpu engine        {} cores\n", cpu["cores"].get<int>())
            << fmt::format(
                   "  measured        10^9 operations a second in float32 {:.0f}, bf16 {:.0f}, int8 {:.0f}; "
                   "{:.0f} GB/s read from memory\n",
                   cpu["peak_gflops_float32"].get<double>(), cpu["peak_gflops_bf16"].get<double>(),
                   cpu["peak_gops_int8"].get<double>(), cpu["peak_read_gb_per_s"].get<double>())
            << fmt::format("  kernels         {} chosen; compiled: {}; run here: {}\n",
                           cpu["variant_chosen"].get<std::string>(), list(cpu["variants_compiled"]),
                           list(cpu["variants_runnable"]));
  if (mlx["available"].get<bool>()) {
    std::cout << fmt::format("mlx engine        MLX {}, runs on its {} device\n",
                             mlx["version"].get<std::string>(), mlx["device"].get<std::string>());
    for (const auto& d : mlx["devices"])
      std::cout << fmt::format("  device          {} {}\n", d["kind"].get<std::string>(),
                               d["name"].get<std::string>());
    std::cout << fmt::format("  library         {}\n", mlx["library"].get<std::string>());
  } else {
    std::cout << fmt::format("mlx engine        missing: {}\n", mlx["reason"].get<std::string>());
  }
  return 0;
}

}  // namespace

void add_doctor(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Show the engines and kernels that run on this machine, and what is missing");
  auto o = std::make_shared<DoctorArguments>();
  command->add_flag("--families", o->families,
                    "List the architectures and their heads (docs/models.md) instead");
  command->add_option("FOLDER", o->folders,
                      "With --families: models whose family is wanted, each " + kModelForms);
  command->add_flag("--json", o->json, "Machine-readable output");
  command->callback([o, &run] {
    run = [o] {
      if (!o->families && !o->folders.empty())
        throw Error(ErrorCode::usage,
                    "doctor: a folder was given without --families; add it, or use inspect");
      return o->families ? print_families(*o) : doctor(o->json);
    };
  });
}

}  // namespace mlxe::cli
