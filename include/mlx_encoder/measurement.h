// The cost of one model in bytes, time and memory, and two checks of its engine.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlxe {

// The size of one side.
struct StoredSize {
  uint64_t weight_bytes = 0;   // of the weight files
  uint64_t folder_bytes = 0;   // every file of the folder
  int64_t parameters = 0;      // logical values: a packed [O, I] matrix counts O * I
  double bits_per_weight = 0;  // 8 * (bytes of the tensors) / parameters
  std::string scheme;          // of most parameters: "affine 4-bit g64 float16"
  // Bytes of "embeddings", "attention", "feed-forward", "norms", "head" and "other" (file headers and unused
  // tensors).
  std::map<std::string, uint64_t> parts;
  // The tensors of a part that are stored the same way.
  struct Group {
    std::string part, scheme;  // "attention", "affine 4-bit g64 float16"
    int64_t tensors = 0, parameters = 0;
    uint64_t bytes = 0;
  };
  std::vector<Group> groups;  // largest first; without file headers and unused tensors
};

// Two properties that every engine should have, checked on some of the texts.
struct EngineChecks {
  int64_t texts = 0;
  double repeat_difference = 0;  // largest difference between two runs of one batch; 0: the same bits
  double batch_difference = 0;   // between a text alone and in a batch, relative to the largest value
  double batch_tolerance = 0;    // the engine's promise: 0 on cpu; mlx pads, which changes the order of sums
};

// Time and memory of one model, measured in a process that does nothing else.
struct Measurement {
  std::string engine, variant;
  int threads = 0;  // of the cpu engine; 0 on mlx
  // Resident memory after the first vector, and at the peak; mapped files count.
  uint64_t loaded_bytes = 0, peak_bytes = 0;
  struct {
    double median = 0, min = 0, max = 0;  // ms from the start of the process to the first vector
    int repeats = 0;                      // the files are in the system's cache
  } cold_start;
  struct {
    double p50 = 0, p95 = 0, p99 = 0;   // ms for one text, over all samples
    double pass_min = 0, pass_max = 0;  // lowest and highest p50 of a pass: how steady the machine was
    int64_t texts = 0;
    int warm_up = 0, passes = 0;  // numbers of passes; each runs all texts once
  } latency;
  struct {
    double texts_per_second = 0, tokens_per_second = 0;  // median pass
    double min = 0, max = 0;                             // texts per second of the slowest and fastest pass
    int64_t texts = 0;
    int passes = 0;
  } throughput;
};

}  // namespace mlxe
