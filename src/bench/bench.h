// Times batches of token ids on an engine, in this process, which should do nothing else. The time includes no
// tokenizer. All token vectors of the last layer are computed, unless only a head is requested.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "mlx_encoder/encoder.h"

namespace mlxe {

struct BatchShape {
  int64_t texts = 0, tokens = 0;  // each text has that many tokens

  std::string name() const;  // "8x32"
};
// Errors: usage (not two positive numbers, or more than 2^20 tokens in all).
BatchShape parse_batch_shape(std::string_view text);

struct BenchOptions {
  EncoderOptions encoder;
  std::chrono::steady_clock::time_point started;  // of the process
  double seconds = 2;                             // of repeated runs; at least 5 runs
  bool first_token = false;  // only the classifier's or the pooler's result, for which the last layer
                             // computes the first token of each text alone
};

struct BatchTime {
  std::string engine, variant, activations;
  int threads = 0;                            // of the cpu engine; 0 on mlx
  int64_t runs = 0;                           // after the warm-up
  double p50 = 0, p95 = 0, p99 = 0, min = 0;  // ms
  double cold_start = 0;  // ms from `started` to the vectors of one text of at most 16 tokens
  uint64_t loaded_bytes = 0, peak_bytes = 0;  // resident after the cold start, and at the peak
  uint64_t weight_bytes = 0;  // of the encoder's matrices as stored: what a batch reads at least once
  double operations = 0;      // of the encoder's matrices for this batch: 2 * tokens * their values
};

// Ids are random in the vocabulary, the same in each run. Errors: those of Encoder::load; usage (a text
// longer than the model takes; no head that reads the first token alone).
BatchTime bench(const std::filesystem::path& folder, BatchShape shape, const BenchOptions& options);

// Passes the result of a measuring process to its parent.
nlohmann::ordered_json batch_time_json(const BatchTime& t);
BatchTime parse_batch_time(const nlohmann::ordered_json& json);  // throws internal

}  // namespace mlxe
