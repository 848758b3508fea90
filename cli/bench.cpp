// mlx-encoder bench: how fast this machine runs a model.
#include "compare/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "command.h"
#include "compare/machine.h"
#include "engine_cpu/cpu_report.h"
#include "measured_process.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "print_table.h"

namespace mlxe::cli {
namespace {

struct Options {
  std::vector<std::filesystem::path> folders;
  std::vector<std::string> shapes{"1x16", "1x128", "8x32", "32x128"};
  std::string engine = "auto", activations = "auto";
  int threads = 0;
  double seconds = 2;
  bool json = false;
};

struct Row {
  std::string model, shape;
  int64_t tokens = 0;
  BatchTime time;

  double tokens_per_second() const { return 1000 * static_cast<double>(tokens) / time.p50; }
  double gops() const { return time.operations / time.p50 / 1e6; }
};

std::string model_name(const std::filesystem::path& folder) {
  const auto path = folder.has_filename() ? folder : folder.parent_path();
  return path.filename().string();
}

void print(const std::vector<Row>& rows, double peak) {
  Table table{.title = describe_machine(),
              .header = {"model", "shape", "p50 ms", "p95", "p99", "min", "tokens/s", "of peak", "start ms",
                         "peak MB"},
              .align = std::vector<Align>(10, Align::right)};
  table.align[0] = Align::left;
  for (const Row& r : rows)
    table.rows.push_back({r.model, r.shape, fmt::format("{:.3f}", r.time.p50),
                          fmt::format("{:.3f}", r.time.p95), fmt::format("{:.3f}", r.time.p99),
                          fmt::format("{:.3f}", r.time.min), fmt::format("{:.0f}", r.tokens_per_second()),
                          peak > 0 ? fmt::format("{:.0f} %", 100 * r.gops() / peak) : "",
                          fmt::format("{:.0f}", r.time.cold_start),
                          fmt::format("{:.0f}", static_cast<double>(r.time.peak_bytes) / 1e6)});
  const BatchTime& t = rows.front().time;
  table.note = fmt::format("{} engine ({}), {} activations.", t.engine, t.variant, t.activations);
  if (peak > 0)
    table.note += fmt::format(
        " Peak: {:.0f} GFLOP/s of float32 multiply-adds, measured; 8-bit products can exceed it.", peak);
  print_table(table);
}

nlohmann::ordered_json to_json(const std::vector<Row>& rows, double peak) {
  nlohmann::ordered_json json{{"version", kVersion}, {"machine", describe_machine()}};
  json["peak_gflops_float32"] = peak > 0 ? nlohmann::ordered_json(peak) : nullptr;
  auto& results = json["results"] = nlohmann::ordered_json::array();
  for (const Row& r : rows) {
    nlohmann::ordered_json result{{"model", r.model}, {"shape", r.shape}};
    result.update(batch_time_json(r.time));
    result["tokens_per_s"] = r.tokens_per_second();
    result["gops"] = r.gops();
    result["share_of_float32_peak"] = peak > 0 ? nlohmann::ordered_json(r.gops() / peak) : nullptr;
    results.push_back(std::move(result));
  }
  return json;
}

int bench_models(const Options& o) {
  parse_engine(o.engine);
  parse_activations(o.activations);
  std::vector<BatchShape> shapes;
  for (const std::string& s : o.shapes) shapes.push_back(parse_batch_shape(s));
  const Progress draw = progress();
  const size_t total = o.folders.size() * shapes.size();
  std::vector<Row> rows;
  for (const auto& folder : o.folders)
    for (const BatchShape& shape : shapes) {
      draw("batches", rows.size(), total);
      rows.push_back({.model = model_name(folder),
                      .shape = shape.name(),
                      .tokens = shape.texts * shape.tokens,
                      .time = bench_apart({.folder = folder,
                                           .engine = o.engine,
                                           .activations = o.activations,
                                           .threads = o.threads,
                                           .seconds = o.seconds},
                                          shape)});
    }
  draw("batches", total, total);
  const int threads = rows.front().time.threads;  // 0: not the cpu engine
  const double peak = threads > 0 ? measured_peak_gflops(threads) : 0;
  if (o.json)
    std::cout << to_json(rows, peak).dump(2) << '\n';
  else
    print(rows, peak);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("bench", "How fast this machine runs models on batches of token ids");
  command->add_option("models", o->folders, "Model folders")->required();
  command->add_option("--shapes", o->shapes, "TEXTSxTOKENS, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--engine", o->engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command->add_option("--activations", o->activations, "auto, int8, bf16 or f32, of the cpu engine")
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads of the cpu engine; 0: all cores")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--seconds", o->seconds, "Each shape is repeated that long, and at least 5 times")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", o->json, "Machine-readable output");
  command->callback([o, &run] { run = [o] { return bench_models(*o); }; });
}

}  // namespace mlxe::cli
