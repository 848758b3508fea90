// Measures a model in a process of its own: starts this program with its hidden command `measure`.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "bench/bench.h"
#include "mlx_encoder/compare.h"

namespace mlxe::cli {

struct MeasureRequest {
  std::filesystem::path folder;
  std::string engine = "auto";
  std::string activations = "auto";
  int threads = 0;
  int64_t max_length = 0;
  double seconds = 2;        // time for latency, and for throughput; or for the runs of a batch
  bool first_token = false;  // of a batch: compute only the first token of each text in the last layer
  bool strict = false;       // warnings are errors
};

// Starts one process after another: one that is not counted and brings the files into the cache, one that
// measures everything, and others that only measure their start, for its spread. Errors: those that the
// processes report; io (a process can't be started or ends without a result).
Measurement measure_apart(const MeasureRequest& request, std::span<const TextInput> texts);

// Starts a process that is not counted and brings the files into the cache, then one that is measured.
// Errors: the same.
BatchTime bench_apart(const MeasureRequest& request, BatchShape shape);

}  // namespace mlxe::cli
