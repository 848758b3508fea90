// A model measured in a process of its own: this program started anew with its hidden command `measure`.
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
  double seconds = 2;        // latency and throughput, or the runs of a batch, may take this long each
  bool first_token = false;  // of a batch: only what a head needs that reads the first token alone
};

// Starts one process after another: one to bring the files into the cache, which is not counted, one that
// measures everything, and more that only start, for the spread. Errors: those the processes report; io (a
// process can't be started or ends without a result).
Measurement measure_apart(const MeasureRequest& request, std::span<const TextInput> texts);

// One process brings the files into the cache, which is not counted; the next is measured. Errors: the same.
BatchTime bench_apart(const MeasureRequest& request, BatchShape shape);

}  // namespace mlxe::cli
