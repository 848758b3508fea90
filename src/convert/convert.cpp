#include "mlx_encoder/convert.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>

#include "base/background.h"
#include "base/file_errors.h"
#include "base/output_path.h"
#include "calibrate/calibrate.h"
#include "convert/blueprint.h"
#include "convert/carried_files.h"
#include "convert/claimed_convert.h"
#include "convert/pieces.h"
#include "convert/readers.h"
#include "convert/weight_writer.h"
#include "format/config.h"
#include "format/folder_stamp.h"
#include "format/folder_writer.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Whether the output folder holds this conversion. Throws usage when it holds something else that must stay.
bool is_done(const Blueprint& blueprint, const ConvertOptions& options) {
  if (options.if_done == IfDone::rewrite || !fs::exists(options.output)) return false;
  std::optional<Provenance> found;
  try {
    found = Provenance::read(options.output);
  } catch (const Error&) {
  }
  if (!found) return false;  // PendingFolder says what is wrong with it
  const auto other = [&](const char* what) {
    if (options.if_done == IfDone::renew) return false;
    throw Error(ErrorCode::usage,
                fmt::format("{}: holds {}; pass --force to replace it or choose another folder",
                            options.output.string(), what));
  };
  if (found->plan != blueprint.digest) return other("another conversion (other options, model or version)");
  if (found->source != fingerprints(options.model, blueprint.source_files))
    return other("the conversion of a model that has changed since");
  if (found->output.empty() || !found->changes(options.output, FileCheck::content).empty())
    return other("this conversion, but its files were changed since");
  return true;
}

uint64_t weight_bytes(const Blueprint& blueprint, const fs::path& folder) {
  uint64_t total = 0;
  for (const Shard& shard : blueprint.shards) total += fs::file_size(folder / shard.file);
  return total;
}

// A folder for the finished steps of one calibration, in a hidden folder beside the output. It goes when the
// conversion is there or has failed; a killed process leaves it, and the same conversion goes on from it.
// What other conversions to the same output have left stays.
class Steps {
 public:
  Steps(const fs::path& output, const std::string& plan_digest)
      : all_(hidden_sibling(output, ".calibration")), folder_(all_ / plan_digest.substr(0, 16)) {}
  ~Steps() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    if (!fs::is_empty(all_, ignored)) return;
    fs::remove(all_, ignored);
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  const fs::path& folder() const noexcept { return folder_; }
  // Of other calibrations.
  std::optional<std::string> left_behind() const {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(all_, none))
      if (entry.path() != folder_)
        return fmt::format(
            "{}: holds finished steps of another calibration that was killed; it goes on from "
            "them when it is started again, else remove the folder",
            all_.string());
    return std::nullopt;
  }

 private:
  fs::path all_, folder_;
};

// Empty where no calibration was asked for, or nothing is rounded. The report names tensors as written; what
// is said joins `warnings`.
CalibratedWeights calibrated(const Blueprint& blueprint, const ConvertOptions& options,
                             const fs::path& scratch, const fs::path& journal,
                             std::vector<std::string>& warnings) {
  if (!options.calibration) return {};
  std::map<std::string, Scheme> schemes;
  std::map<std::string, std::string> written;
  for (size_t i = 0; i < blueprint.work.size(); ++i) {
    const PlannedTensor& planned = blueprint.plan.tensors[i];
    const StoredWeight& source = blueprint.work[i].source;
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
                                                warning, options.progress, scratch, journal);
  for (TensorCalibration& entry : weights.report) entry.name = written.at(entry.name);
  return weights;
}

Conversion run(const ConvertOptions& options, Purpose purpose, const FolderClaim* claim = nullptr) {
  const FolderStamp stamp(options.model);
  Blueprint blueprint = make_blueprint(options, purpose);
  Conversion result{.plan = blueprint.plan, .folder = options.output};
  if (is_done(blueprint, options)) {
    result.skipped = true;
    result.bytes = weight_bytes(blueprint, options.output);
    return result;
  }
  std::optional<FolderClaim> own_claim;
  if (claim == nullptr)
    claim = &own_claim.emplace(options.output, if_exists(options.if_done),
                               std::initializer_list<fs::path>{options.model});
  PendingFolder pending(*claim);
  require_free_space(pending.path(), blueprint.plan.folder_bytes);
  Background<Fingerprints> source([&] { return fingerprints(options.model, blueprint.source_files); });
  const Steps steps(claim->target(), blueprint.digest);
  if (std::optional<std::string> left = steps.left_behind()) result.plan.notes.push_back(*std::move(left));
  CalibratedWeights weights =
      calibrated(blueprint, options, pending.path(), steps.folder(), result.plan.warnings);
  write_weights(blueprint, weights, pending.path(), options);
  result.calibration = std::move(weights.report);
  for (const auto& [file, text] : blueprint.texts)
    write_whole_file(pending.path() / file, text, Placement::fresh);
  copy_files(options.model, pending.path(), blueprint.carried);
  verify_folder(blueprint, pending.path());
  Fingerprints read = source.get();
  stamp.require_unchanged(blueprint.source_files);
  if (options.layout == Layout::mlx_embeddings) require_mlx_embeddings_loads(pending.path(), options.output);
  const Provenance provenance{.plan = blueprint.digest,
                              .source = std::move(read),
                              .output = fingerprints(pending.path(), blueprint.output_files())};
  write_whole_file(pending.path() / kProvenanceFile, provenance.text(), Placement::fresh);
  result.bytes = weight_bytes(blueprint, pending.path());
  if (options.before_commit) options.before_commit(pending.path());
  pending.commit();
  return result;
}

// What config.json says its floats are; converted folders say it of what stayed float.
Dtype stored_dtype(const fs::path& model) {
  const Config config = Config::read(model / "config.json");
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto spelling = config.get_or<std::string>(key, "");
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
      if (spelling == to_string(Scheme{.dtype = dtype})) return dtype;
  }
  return Dtype::f16;
}

}  // namespace

Layout parse_layout(std::string_view spelling) {
  if (spelling == "hf") return Layout::hf;
  if (spelling == "mlx-embeddings") return Layout::mlx_embeddings;
  throw Error(ErrorCode::usage, fmt::format("layout: \"{}\" is unknown; use hf or mlx-embeddings", spelling));
}

namespace {
constexpr std::array kMethods{"auto", "rtn", "mse", "gptq"};
}

CalibrationMethod parse_calibration_method(std::string_view spelling) {
  for (size_t i = 0; i < kMethods.size(); ++i)
    if (spelling == kMethods[i]) return static_cast<CalibrationMethod>(i);
  throw Error(ErrorCode::usage,
              fmt::format("method: \"{}\" is unknown; use auto, rtn, mse or gptq", spelling));
}

const char* name(CalibrationMethod method) noexcept {
  return kMethods[static_cast<size_t>(method)];
}

ConversionPlan plan_conversion(const ConvertOptions& options) {
  return with_file_errors([&] { return make_blueprint(options, Purpose::convert).plan; });
}

Conversion convert(const ConvertOptions& options) {
  return with_file_errors([&] { return run(options, Purpose::convert); });
}

Conversion convert(const ConvertOptions& options, const FolderClaim& claim) {
  return with_file_errors([&] { return run(options, Purpose::convert, &claim); });
}

IfExists if_exists(IfDone if_done) noexcept {
  return if_done == IfDone::skip ? IfExists::refuse : IfExists::replace;
}

Conversion dequantize_model(const DequantizeOptions& options) {
  return with_file_errors([&] {
    ConvertOptions all{.model = options.model,
                       .output = options.output,
                       .scheme = {.dtype = options.dtype ? *options.dtype : stored_dtype(options.model)},
                       .max_shard_size = options.max_shard_size,
                       .strict = options.strict,
                       .if_done = options.if_done,
                       .threads = options.threads,
                       .warning = options.warning,
                       .progress = options.progress};
    return run(all, Purpose::dequantize);
  });
}

}  // namespace mlxe
