// A conversion in two phases. prepare() makes a plan, exact to the byte, and writes nothing. write() writes and verifies
// the planned tensors and makes no further decisions.
//
//   PreparedConversion conversion = prepare(options);      // plan() is what write() will write
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
#include "verify/golden.h"

namespace mlxe {

class PendingConversion;

// Copies share the source. Const members are thread-safe.
class PreparedConversion {
 public:
  // Does not call options.warning: report_warnings() does. Errors: those of plan_conversion, but
  // strict.
  PreparedConversion(std::shared_ptr<const ConversionSource> source, const ConvertOptions& options,
                     Purpose purpose = Purpose::convert);

  const ConversionPlan& plan() const noexcept { return plan_; }
  const ConvertOptions& options() const noexcept { return options_; }
  const ConversionSource& source() const noexcept { return *source_; }
  const WeightJobs& weights() const noexcept { return weights_; }
  // Contents by file name: config.json, the index, README.md.
  const std::map<std::string, std::string>& texts() const noexcept { return texts_; }
  // SHA-256 of everything but the source's files that the output depends on, for mlx_encoder.json.
  std::string digest() const;
  // The golden of the output, without its values. None if the folder has no tokenizer that could be loaded.
  const std::optional<Golden>& golden_form() const noexcept { return golden_form_; }
  // All files of the output and their sizes.
  const std::map<std::string, uint64_t>& predicted_files() const noexcept { return predicted_files_; }
  // Files of the output whose hashes mlx_encoder.json records.
  std::vector<std::string> output_files() const;

  // The same conversion with options.scheme and options.allocation replaced; reads no weights. Errors: as the
  // constructor.
  PreparedConversion with(const Scheme& scheme, std::map<std::string, Scheme> allocation) const;
  // Makes write() calibrate. The plan does not change. Errors: usage (the scheme is not affine).
  void calibrate(const Calibration& calibration);

  // Passes the plan's warnings to options.warning. Errors: strict (if there are any).
  void report_warnings() const;
  bool is_written() const;  // holds_conversion()

  // Writes the folder under a hidden name and verifies it. `claim` is of options.output and outlives the
  // result. Errors: those of convert().
  PendingConversion write(const FolderClaim& claim, const Progress& progress) const;
  // Reopens a written folder as any reader would and compares each planned tensor: name, dtype, shape, bytes.
  // Then loads it as a run does. Errors: internal (a tensor is not as planned), unsupported (mlx-embeddings
  // would not load it, and the layout promises that), io.
  void verify(const std::filesystem::path& folder) const;

 private:
  void make_plan();
  void plan_weights(TensorPlan tensors);
  void settle_scheme(const Policy& policy, const PlanRemarks& remarks);
  void note_moved_files();
  void plan_golden();
  void predict_folder_bytes();

  std::shared_ptr<const ConversionSource> source_;
  ConvertOptions options_;
  Purpose purpose_;
  std::optional<std::string> earlier_quantization_;  // the same for all plans of a source
  std::optional<Golden> golden_form_;                // the same, too
  ConversionPlan plan_;
  WeightJobs weights_;
  Scheme global_;  // of config.json's "quantization"
  bool any_quantized_ = false;
  std::map<std::string, std::string> texts_;
  std::map<std::string, uint64_t> predicted_files_;
};

// Whether options.output holds the conversion of this digest, made of these files of options.model as they are. Errors: usage
// (it holds anything else that must stay).
bool holds_conversion(const ConvertOptions& options, const std::string& digest,
                      const std::vector<std::string>& source_files);

// Opens options.model and plans. Errors: as the constructors.
PreparedConversion prepare(const ConvertOptions& options, Purpose purpose = Purpose::convert);

IfExists if_exists(IfDone if_done) noexcept;

// Reports the warnings; then writes and commits unless the output folder holds this conversion. Errors: those
// of convert().
Conversion convert(const PreparedConversion& prepared, const Progress& progress);

}  // namespace mlxe
