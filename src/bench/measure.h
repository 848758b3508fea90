// Time and memory of one model, measured in this process, which should do nothing else.
#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/measurement.h"

namespace mlxe {

struct MeasureOptions {
  EncoderOptions encoder;
  std::chrono::steady_clock::time_point started;  // of the process
  // Time limit for latency, and for throughput. One pass over the texts is always completed, over fewer texts if a pass
  // takes longer.
  double seconds = 5;
  bool only_start = false;  // stop after the first vector
};

// Loads the folder, runs the first text, then times single texts and all of them together. cold_start is that of
// this process (repeats 1). Errors: those of Encoder::load; usage (no texts).
Measurement measure(const std::filesystem::path& folder, std::span<const TextInput> texts,
                    const MeasureOptions& options);

// Passes the result of a measuring process to its parent.
nlohmann::ordered_json measurement_json(const Measurement& m);
Measurement parse_measurement(const nlohmann::ordered_json& json);  // throws internal

}  // namespace mlxe
