// A conversion worked out down to the byte. Two phases: prepare() plans and writes nothing; write() writes
// what was planned, verifies it and plans nothing anew.
//
//   PreparedConversion conversion = prepare(options);      // plan(): what would be written
//   conversion = conversion.with(scheme, allocation);      // another plan of the same source
//   conversion.write(claim, progress).commit();
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convert/conversion_source.h"
#include "convert/weight_jobs.h"
#include "format/folder_writer.h"
#include "mlx_encoder/convert.h"

namespace mlxe {

class PendingConversion;

// Copies share the source. Const members are thread-safe.
class PreparedConversion {
 public:
  // Says nothing through options.warning: report_warnings() does. Errors: those of plan_conversion, but
  // strict.
  PreparedConversion(std::shared_ptr<const ConversionSource> source, const ConvertOptions& options,
                     Purpose purpose = Purpose::convert);

  const ConversionPlan& plan() const noexcept { return plan_; }
  const ConvertOptions& options() const noexcept { return options_; }
  const ConversionSource& source() const noexcept { return *source_; }
  const WeightJobs& weights() const noexcept { return weights_; }
  // Contents by file name: config.json, the index, README.md.
  const std::map<std::string, std::string>& texts() const noexcept { return texts_; }
  // SHA-256 of all that decides the output beside the source's files, for mlx_encoder.json.
  std::string digest() const;
  // Files of the output that mlx_encoder.json vouches for.
  std::vector<std::string> output_files() const;

  // The same conversion with options.scheme and options.allocation replaced; reads no weights. Errors: as the
  // constructor.
  PreparedConversion with(const Scheme& scheme, std::map<std::string, Scheme> allocation) const;
  // Has write() calibrate; the plan stays. Errors: usage (the scheme is not affine).
  void calibrate(const Calibration& calibration);

  // Tells options.warning the plan's warnings. Errors: strict (there are some).
  void report_warnings() const;
  // Whether options.output holds this very conversion. Errors: usage (something else that must stay).
  bool is_written() const;

  // Writes the folder under a hidden name and verifies it. `claim` is of options.output and outlives the
  // result. Errors: those of convert().
  PendingConversion write(const FolderClaim& claim, const Progress& progress) const;
  // Reopens a written folder as any reader would and compares each planned tensor: name, dtype, shape, bytes.
  // Then loads it as a run does. Errors: internal (something is not as planned), unsupported (mlx-embeddings
  // would not load it, and the layout promises that), io.
  void verify(const std::filesystem::path& folder) const;

 private:
  void make_plan();
  void plan_weights(TensorPlan tensors);
  void settle_scheme(const Policy& policy, const PlanRemarks& remarks);
  void note_moved_files();
  void predict_folder_bytes();

  std::shared_ptr<const ConversionSource> source_;
  ConvertOptions options_;
  Purpose purpose_;
  std::optional<std::string> earlier_quantization_;  // the same for all plans of a source
  ConversionPlan plan_;
  WeightJobs weights_;
  Scheme global_;  // of config.json's "quantization"
  bool any_quantized_ = false;
  std::map<std::string, std::string> texts_;
};

// Opens options.model and plans. Errors: as the constructors.
PreparedConversion prepare(const ConvertOptions& options, Purpose purpose = Purpose::convert);

IfExists if_exists(IfDone if_done) noexcept;

// Reports the warnings; then writes and commits unless the output folder holds this conversion. Errors: those
// of convert().
Conversion convert(const PreparedConversion& prepared, const Progress& progress);

}  // namespace mlxe
