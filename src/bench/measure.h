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
  // Seconds latency and throughput may each take; one pass over the texts is always finished, over fewer
  // texts where even that takes longer.
  double seconds = 5;
  bool only_start = false;  // stop after the first vector
};

// Loads the folder, runs the first text, then times single texts and all of them together. cold_start is this
// process's own (repeats 1). Errors: those of Encoder::load; usage (no texts).
Measurement measure(const std::filesystem::path& folder, std::span<const TextInput> texts,
                    const MeasureOptions& options);

// How a measuring process hands its result to the one that asked.
nlohmann::ordered_json measurement_json(const Measurement& m);
Measurement parse_measurement(const nlohmann::ordered_json& json);  // throws internal

}  // namespace mlxe
