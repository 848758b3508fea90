#include "convert/pending_conversion.h"

#include <fmt/format.h>

#include <map>

#include "base/background.h"
#include "calibrate/calibrate.h"
#include "convert/calibration_journal.h"
#include "convert/carried_files.h"
#include "convert/weight_components.h"
#include "convert/weight_writer.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "verify/stored_golden.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Empty if no calibration was requested, or nothing is rounded. The report has the names of the written tensors.
// Appends warnings to `warnings`.
CalibratedWeights calibrate_planned(const PreparedConversion& prepared, const fs::path& scratch,
                                    const fs::path& journal, const Progress& progress,
                                    std::vector<std::string>& warnings) {
  const ConvertOptions& options = prepared.options();
  if (!options.calibration) return {};
  std::map<std::string, Scheme> schemes;
  std::map<std::string, std::string> written;
  for (size_t i = 0; i < prepared.weights().tensors.size(); ++i) {
    const PlannedTensor& planned = prepared.plan().tensors[i];
    const StoredWeight& source = prepared.weights().tensors[i].source;
    if (planned.scheme.mode != Mode::affine || same_form(source.scheme, planned.scheme)) continue;
    schemes[source.name] = planned.scheme;
    written[source.name] = planned.name;
  }
  if (schemes.empty()) return {};
  const Warning warning = [&](std::string_view sentence) {
    if (options.strict) throw Error(ErrorCode::strict, fmt::format("{} (an error under --strict)", sentence));
    warnings.emplace_back(sentence);
    if (options.warning) options.warning(sentence);
  };
  CalibratedWeights weights = calibrate_weights(options.model, *options.calibration, schemes, options.threads,
                                                warning, progress, scratch, journal);
  for (TensorCalibration& entry : weights.report) entry.name = written.at(entry.name);
  return weights;
}

}  // namespace

PendingConversion::PendingConversion(const PreparedConversion& prepared, const FolderClaim& claim,
                                     const Progress& progress)
    : pending_(claim),
      result_{.plan = prepared.plan(), .folder = prepared.options().output},
      model_(prepared.options().model),
      threads_(prepared.options().threads),
      strict_(prepared.options().strict),
      warning_(prepared.options().warning),
      golden_(prepared.golden_form()) {
  const fs::path &folder = pending_.path(), &model = prepared.options().model;
  const ConversionSource& source = prepared.source();
  const std::vector<std::string> source_files = source.files();
  require_free_space(folder, prepared.plan().folder_bytes);
  Background<Fingerprints> fingerprinted([&] { return fingerprints(model, source_files); });
  const CalibrationJournal journal(claim.target(), prepared.digest());
  if (std::optional<std::string> note = journal.left_behind()) result_.plan.notes.push_back(*std::move(note));
  CalibratedWeights weights =
      calibrate_planned(prepared, folder, journal.folder(), progress, result_.plan.warnings);
  write_weights(prepared, weights, folder, progress);
  result_.calibration = std::move(weights.report);
  for (const auto& [file, text] : prepared.texts()) {
    fs::create_directories((folder / file).parent_path());
    write_whole_file(folder / file, text, Placement::fresh);
  }
  copy_files(model, folder, source.small_files.carried);
  prepared.verify(folder);
  Fingerprints read = fingerprinted.get();
  source.stamp.require_unchanged(source_files);
  provenance_ = {.plan = prepared.digest(),
                 .source = std::move(read),
                 .output = fingerprints(folder, prepared.output_files())};
  result_.bytes = prepared.weights().bytes_in(folder);
}

// Of the many conversions that a target tries, only the chosen one gets here.
void PendingConversion::write_golden() {
  if (!golden_) return;
  const fs::path& folder = pending_.path();
  golden_->record = record_digest(provenance_.output);
  try {
    fill_golden(*golden_, GoldenSide::original, model_, threads_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::io) throw;
    leave_golden_out(error.what());
    return;
  }
  // What the original computes, the converted model must compute, too.
  fill_golden(*golden_, GoldenSide::converted, folder, threads_);
  write_whole_file(folder / kGoldenFile, golden_->text(), Placement::fresh);
  provenance_.output.merge(fingerprints(folder, {kGoldenFile}));
}

void PendingConversion::leave_golden_out(const std::string& why) {
  const std::string sentence = fmt::format(
      "{}: has no golden for `mlx-encoder verify`, because the original gives no result for a text of it: {}",
      result_.folder.string(), why);
  if (strict_) throw Error(ErrorCode::strict, fmt::format("{} (an error under --strict)", sentence));
  result_.plan.warnings.push_back(sentence);
  if (warning_) warning_(sentence);
  Provenance planned = provenance_;
  const uint64_t bytes = golden_->text().size();
  planned.output[kGoldenFile] = {bytes, std::string(64, '0')};
  result_.plan.folder_bytes -= bytes + planned.text().size() - provenance_.text().size();
}

Conversion PendingConversion::commit() {
  write_golden();
  write_whole_file(pending_.path() / kProvenanceFile, provenance_.text(), Placement::fresh);
  if (const fs::path old = pending_.commit(); !old.empty())
    result_.plan.notes.push_back(fmt::format(
        "{}: is the folder that was replaced, which could not be removed; remove it", old.string()));
  return std::move(result_);
}

}  // namespace mlxe
