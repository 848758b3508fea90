// Runs every sequence on all sides of a comparison, batch by batch, and measures the differences.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compare/output_meter.h"
#include "compare/output_task.h"
#include "compare/sides.h"
#include "metrics/difference_meter.h"

namespace mlxe {

std::string layer_name(size_t index);  // "embeddings", "layer 1", ...

// Memory: a few numbers for each sequence, and the activations of one batch.
class SideBySide {
 public:
  // `task` must be complete. All arguments must outlive this object. Errors: usage (the sequences hold no tokens).
  SideBySide(const Sides& sides, const OutputTask& task, std::span<const Sequence> sequences);

  // Errors: those of TextRunner::run and OutputMeter::add. progress: in sequences.
  void run(const Progress& progress);

  // After run().
  std::vector<NamedDifference> layers() const;
  const OutputMeter& exact() const { return *exact_; }
  const OutputMeter& fast() const { return *fast_; }  // if sides.fast()
  const std::vector<double>& text_cosines() const { return text_cosines_; }

 private:
  void run_window(size_t begin, size_t end);
  void take(size_t index, const RunResult& original, const RunResult& quantized, const RunResult& fast,
            const Batch& batch, int64_t position);

  const Sides& sides_;
  std::span<const Sequence> sequences_;
  std::vector<DifferenceMeter> layers_;
  std::optional<OutputMeter> exact_, fast_;
  std::vector<double> text_cosines_;
};

}  // namespace mlxe
