// mlx-encoder bench: how fast this machine runs a model.
#include "bench/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arguments.h"
#include "base/thread_pool.h"
#include "base/wording.h"
#include "bench/machine.h"
#include "command.h"
#include "engine_cpu/cpu_report.h"
#include "measured_process.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "model_names.h"
#include "print_json.h"
#include "print_table.h"

namespace mlxe::cli {
namespace {

struct BenchArguments {
  std::vector<std::filesystem::path> folders;
  std::vector<std::string> shapes{"1x16", "1x128", "8x32", "32x128"};
  std::string engine = "auto", activations = "auto";
  int threads = 0;
  double seconds = 2;
  bool first_token = false, strict = false, json = false;
};

struct Row {
  std::string model, shape;
  int64_t tokens = 0;
  BatchTime time;

  double tokens_per_second() const { return 1000 * static_cast<double>(tokens) / time.p50; }
  double gops() const { return time.operations / time.p50 / 1e6; }
};

// The peak for the run's type of activations. 0 if it was not measured.
double peak_for(const MachinePeaks& peaks, const Row& r) {
  return r.time.activations == "int8"   ? peaks.int8
         : r.time.activations == "bf16" ? peaks.bf16
                                        : peaks.float32;
}

double read_gb_per_second(const Row& r) {
  return static_cast<double>(r.time.weight_bytes) / r.time.p50 / 1e6;
}

void print(const std::vector<Row>& rows, const MachinePeaks& peaks, bool first_token) {
  Table table{.title = describe_machine(),
              .header = {"model", "shape", "p50 ms", "p95", "p99", "min", "tokens/s", "of peak", "of reading",
                         "start ms", "peak MB"},
              .align = std::vector<Align>(11, Align::right)};
  table.align[0] = Align::left;
  const auto share = [](double rate, double peak) {
    return peak > 0 ? fmt::format("{:.0f} %", 100 * rate / peak) : "";
  };
  for (const Row& r : rows)
    table.rows.push_back({r.model, r.shape, fmt::format("{:.3f}", r.time.p50),
                          fmt::format("{:.3f}", r.time.p95), fmt::format("{:.3f}", r.time.p99),
                          fmt::format("{:.3f}", r.time.min), fmt::format("{:.0f}", r.tokens_per_second()),
                          share(r.gops(), peak_for(peaks, r)), share(read_gb_per_second(r), peaks.read),
                          fmt::format("{:.0f}", r.time.cold_start),
                          fmt::format("{:.0f}", static_cast<double>(r.time.peak_bytes) / 1e6)});
  const BatchTime& t = rows.front().time;
  table.note = fmt::format("{} engine ({}), {} activations.", t.engine, t.variant, t.activations);
  if (first_token) table.note += " In the last layer, only first tokens are computed.";
  if (const double peak = peak_for(peaks, rows.front()); peak > 0)
    table.note += fmt::format(
        " of peak: the encoder's matrix products, of {:.0f} GOP/s of {} products measured in registers.",
        peak, t.activations);
  if (peaks.read > 0)
    table.note += fmt::format(
        " of reading: its weights once a batch, of {:.0f} GB/s read from memory; weights in cache can exceed "
        "it.",
        peaks.read);
  print_table(table);
}

nlohmann::ordered_json to_json(const std::vector<Row>& rows, const MachinePeaks& peaks, bool first_token) {
  const auto known = [](double value) { return value > 0 ? nlohmann::ordered_json(value) : nullptr; };
  const auto share = [](double rate, double peak) {
    return peak > 0 ? nlohmann::ordered_json(rate / peak) : nullptr;
  };
  nlohmann::ordered_json json{{"version", kVersion}, {"machine", describe_machine()}};
  json["computed"] = first_token ? "first_token" : "all_tokens";
  json["peak_gflops_float32"] = known(peaks.float32);
  json["peak_gops_int8"] = known(peaks.int8);
  json["peak_gflops_bf16"] = known(peaks.bf16);
  json["peak_read_gb_per_s"] = known(peaks.read);
  auto& results = json["results"] = nlohmann::ordered_json::array();
  for (const Row& r : rows) {
    nlohmann::ordered_json result{{"model", r.model}, {"shape", r.shape}};
    result.update(batch_time_json(r.time));
    result["tokens_per_s"] = r.tokens_per_second();
    result["gops"] = r.gops();
    result["share_of_peak"] = share(r.gops(), peak_for(peaks, r));
    result["share_of_reading"] = share(read_gb_per_second(r), peaks.read);
    results.push_back(std::move(result));
  }
  return json;
}

int bench_models(const BenchArguments& o) {
  parse_engine(o.engine);
  parse_activations(o.activations);
  std::vector<BatchShape> shapes;
  for (const std::string& s : o.shapes) shapes.push_back(parse_batch_shape(s));
  const Strictness strictness = o.strict ? Strictness::strict : Strictness::warn;
  for (const auto& folder : o.folders) tell_changed_files(folder, strictness, warnings(strictness));
  const Progress draw = progress();
  const size_t total = o.folders.size() * shapes.size();
  std::vector<Row> rows;
  for (const auto& folder : o.folders)
    for (const BatchShape& shape : shapes) {
      draw("batches", rows.size(), total);
      rows.push_back({.model = folder_name(folder.string()),
                      .shape = shape.name(),
                      .tokens = shape.texts * shape.tokens,
                      .time = bench_apart({.folder = folder,
                                           .engine = o.engine,
                                           .activations = o.activations,
                                           .threads = o.threads,
                                           .seconds = o.seconds,
                                           .first_token = o.first_token,
                                           .strict = o.strict},
                                          shape)});
    }
  draw("batches", total, total);
  const int threads = rows.front().time.threads;  // 0 on the mlx engine
  const MachinePeaks peaks = threads > 0 ? measured_peaks(threads) : MachinePeaks{};
  if (o.json)
    print_json(to_json(rows, peaks, o.first_token), 2);
  else
    print(rows, peaks, o.first_token);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  auto o = std::make_shared<BenchArguments>();
  CLI::App* command = app.add_subcommand("bench", "Measure the speed of models on batches of token ids");
  command->add_option("models", o->folders, "Models, each " + kModelForms)->required();
  command->add_option("--shapes", o->shapes, "TEXTSxTOKENS, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--engine", o->engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command
      ->add_option("--activations", o->activations, "auto, int8, bf16 or f32: activations of the cpu engine")
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads of the cpu engine; 0: all cores")->check(at_least(0));
  command->add_option("--seconds", o->seconds, "Seconds to repeat each shape (at least 5 times)")
      ->check(between(0, kMostSeconds))
      ->capture_default_str();
  command->add_flag("--first-token", o->first_token,
                    "Compute only first tokens in the last layer, as a classifier or pooler needs");
  command->add_flag("--strict", o->strict, "Every warning is an error");
  command->add_flag("--json", o->json, "Machine-readable output");
  command->callback([o, &run] { run = [o] { return bench_models(*o); }; });
}

}  // namespace mlxe::cli
