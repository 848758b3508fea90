#include "convert/prepared_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/file_errors.h"
#include "base/wording.h"
#include "convert/earlier_quantization.h"
#include "convert/folder_texts.h"
#include "convert/pending_conversion.h"
#include "convert/plan_digest.h"
#include "convert/weight_components.h"
#include "encoder/model_loader.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"
#include "verify/stored_golden.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

void require_layout_holds(const ConvertOptions& options) {
  const Mode mode = options.scheme.mode;
  if (options.layout == Layout::mlx_embeddings && (mode == Mode::int8 || mode == Mode::fake))
    throw Error(
        ErrorCode::usage,
        fmt::format("layout mlx-embeddings: found the scheme {}, which mlx-embeddings does not read; use "
                    "affine, mxfp4, mxfp8 or nvfp4, or --layout hf",
                    name(mode)));
}

void require_scales_to_choose(const ConvertOptions& options) {
  if (options.calibration && options.scheme.mode != Mode::affine)
    throw Error(
        ErrorCode::usage,
        fmt::format("calibration: found the scheme {}, expected affine; the others have no scales to choose: "
                    "leave the texts out, or quantize with mode affine",
                    to_string(options.scheme)));
}

void check(const ConvertOptions& options) {
  validate(options.scheme);
  require_layout_holds(options);
  require_scales_to_choose(options);
}

// Whether mlx_encoder.json has the file's hash. A model card is there to be edited.
bool is_recorded(const std::string& file) {
  return file != "README.md";
}

void remove_repeated(std::vector<std::string>& sentences) {
  std::vector<std::string> once;
  for (std::string& sentence : sentences)
    if (std::ranges::find(once, sentence) == once.end()) once.push_back(std::move(sentence));
  sentences = std::move(once);
}

}  // namespace

PreparedConversion prepare(const ConvertOptions& options, Purpose purpose) {
  return with_file_errors([&] {
    check(options);
    return PreparedConversion(std::make_shared<const ConversionSource>(options), options, purpose);
  });
}

PreparedConversion::PreparedConversion(std::shared_ptr<const ConversionSource> source,
                                       const ConvertOptions& options, Purpose purpose)
    : source_(std::move(source)), options_(options), purpose_(purpose) {
  make_plan();
}

PreparedConversion PreparedConversion::with(const Scheme& scheme,
                                            std::map<std::string, Scheme> allocation) const {
  PreparedConversion other = *this;
  other.options_.scheme = scheme;
  other.options_.allocation = std::move(allocation);
  other.make_plan();
  return other;
}

void PreparedConversion::calibrate(const Calibration& calibration) {
  options_.calibration = calibration;
  require_scales_to_choose(options_);
}

void PreparedConversion::make_plan() {
  check(options_);
  Policy policy(options_.scheme, options_.keep, options_.overrides, options_.allocation);
  TensorPlan tensors = plan_tensors(*source_, options_, policy);
  plan_ = {};
  plan_.warnings = source_->warnings;
  if (source_->tokenizer.state == FolderTokenizer::State::none)
    plan_.notes.push_back(
        fmt::format("{}: has no tokenizer, so the result has none, and no golden for `mlx-encoder verify`",
                    source_->folder()));
  if (!earlier_quantization_)
    earlier_quantization_ =
        purpose_ == Purpose::convert ? earlier_quantization(*source_, tensors.jobs) : std::string();
  if (!earlier_quantization_->empty()) plan_.warnings.push_back(*earlier_quantization_);
  tensors.remarks.add_to(plan_, source_->folder(), purpose_);
  const std::map<std::string, std::string> canonical_modules = std::move(tensors.canonical_modules);
  const PlanRemarks remarks = std::move(tensors.remarks);
  plan_weights(std::move(tensors));
  settle_scheme(policy, remarks);
  note_moved_files();
  texts_ = folder_texts({.source = *source_,
                         .options = options_,
                         .plan = plan_,
                         .weights = weights_,
                         .canonical_modules = canonical_modules,
                         .global = global_,
                         .any_quantized = any_quantized_});
  plan_golden();
  predict_folder_bytes();
  remove_repeated(plan_.warnings);
}

void PreparedConversion::plan_weights(TensorPlan tensors) {
  weights_ = {.tensors = std::move(tensors.jobs),
              .shards = cut_into_shards(tensors.tensors, options_.max_shard_size),
              .metadata = {{"format", purpose_ == Purpose::dequantize ? "pt" : "mlx"}},
              .tied = std::move(tensors.tied)};
  uint64_t payload = 0;
  for (const PlannedTensor& tensor : tensors.tensors) {
    payload += tensor.bytes;
    plan_.parameters += static_cast<uint64_t>(element_count(tensor.shape));
  }
  for (const Shard& shard : weights_.shards) {
    plan_.files.emplace_back(
        shard.file, SafetensorsWriter::predicted_size(weights_.components(shard), weights_.metadata));
    plan_.predicted_bytes += plan_.files.back().second;
  }
  plan_.source_bytes = source_->checkpoint.bytes();
  if (plan_.parameters > 0)
    plan_.bits_per_weight = 8.0 * static_cast<double>(payload) / static_cast<double>(plan_.parameters);
  plan_.tensors = std::move(tensors.tensors);
  plan_.dropped = std::move(tensors.dropped);
}

// The scheme that config.json gives for the whole model must be that of at least one tensor.
void PreparedConversion::settle_scheme(const Policy& policy, const PlanRemarks& remarks) {
  global_ = options_.scheme;
  any_quantized_ = false;
  if (options_.scheme.mode == Mode::none) return;
  if (const auto unmatched = policy.unmatched(); !unmatched.empty())
    throw Error(
        ErrorCode::usage,
        fmt::format("{}: no tensor of the model matches; patterns name modules without the prefix \"{}.\", "
                    "`mlx-encoder inspect {} --tensors` lists them",
                    listed(unmatched, kListedNames),
                    find_architecture(source_->checkpoint.config()).base_prefix, source_->folder()));
  const auto is_quantized = [](const PlannedTensor& t) { return t.scheme.mode != Mode::none; };
  const auto as_asked = [&](const PlannedTensor& t) { return same_form(t.scheme, options_.scheme); };
  const auto first = std::ranges::find_if(plan_.tensors, is_quantized);
  any_quantized_ = first != plan_.tensors.end();
  if (any_quantized_ && std::ranges::none_of(plan_.tensors, as_asked)) global_ = first->scheme;
  if (any_quantized_) return;
  // A quantized model was requested, but all tensors would be floats.
  if (!remarks.fallbacks.empty())
    throw Error(ErrorCode::usage,
                fmt::format("{}: no tensor can be stored as {}: {}; quantize with mode int8 (--q-mode int8), "
                            "which has a scale a row instead of groups, or only cast (leave -q out); --keep "
                            "'*' stores all matrices as float",
                            source_->folder(), to_string(options_.scheme),
                            fmt::join(remarks.counted_fallbacks(), "; ")));
  plan_.warnings.push_back(fmt::format("{}: nothing is left to be stored as {}; all stay float",
                                       source_->folder(), to_string(options_.scheme)));
}

void PreparedConversion::note_moved_files() {
  if (const fs::path& transformer = source_->sentence.transformer; !transformer.empty())
    plan_.notes.push_back(
        fmt::format("{}: the transformer's files are written into the folder itself", transformer.string()));
  if (source_->sentence.m3)
    plan_.notes.push_back(
        fmt::format("copied as they are, without quantization: {}", fmt::join(kM3Files, ", ")));
  std::vector<std::string> left;
  for (const fs::path& path : source_->small_files.left_behind) left.push_back(path.string());
  if (!left.empty()) plan_.notes.push_back(fmt::format("not carried over: {}", listed(left, kListedNames)));
}

void PreparedConversion::plan_golden() {
  if (golden_form_ || source_->tokenizer.state != FolderTokenizer::State::loaded) return;
  try {
    golden_form_ =
        mlxe::golden_form(load_model(options_.model, {}, ExpectVectors::yes, UnknownTensors::accept),
                          *source_->tokenizer.tokenizer,
                          options_.layout == Layout::mlx_embeddings ? WithHeads::no : WithHeads::yes);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::io) throw;
    plan_.notes.push_back(
        fmt::format("the result has no golden for `mlx-encoder verify`, because the source does not run: {}",
                    error.what()));
  }
}

void PreparedConversion::predict_folder_bytes() {
  predicted_files_ = {plan_.files.begin(), plan_.files.end()};
  for (const auto& [file, content] : texts_) predicted_files_[file] = content.size();
  const std::string hash(64, '0');
  Provenance provenance{.plan = hash, .source = {}, .output = {}};
  for (const std::string& file : source_->files())
    provenance.source[file] = {fs::file_size(options_.model / file), hash};
  for (const auto& [file, bytes] : plan_.files) provenance.output[file] = {bytes, hash};
  for (const auto& [file, text] : texts_)
    if (is_recorded(file)) provenance.output[file] = {text.size(), hash};
  for (const CarriedFile& file : source_->small_files.carried) {
    const uint64_t bytes = fs::file_size(options_.model / file.from);
    provenance.output[file.to.generic_string()] = {bytes, hash};
    predicted_files_[file.to.generic_string()] = bytes;
  }
  if (golden_form_) {
    const uint64_t bytes = golden_form_->text().size();
    provenance.output[kGoldenFile] = {bytes, hash};
    predicted_files_[kGoldenFile] = bytes;
  }
  predicted_files_[kProvenanceFile] = provenance.text().size();
  plan_.folder_bytes = 0;
  for (const auto& [file, bytes] : predicted_files_) plan_.folder_bytes += bytes;
}

std::string PreparedConversion::digest() const {
  return plan_digest(plan_, weights_.tensors, texts_.at("config.json"), options_.calibration);
}

std::vector<std::string> PreparedConversion::output_files() const {
  std::vector<std::string> files;
  for (const auto& [file, text] : texts_)
    if (is_recorded(file)) files.push_back(file);
  for (const Shard& shard : weights_.shards) files.push_back(shard.file);
  for (const CarriedFile& file : source_->small_files.carried) files.push_back(file.to.generic_string());
  return files;
}

void PreparedConversion::report_warnings() const {
  if (options_.strict && !plan_.warnings.empty())
    throw Error(ErrorCode::strict,
                fmt::format("{} (errors under --strict)", fmt::join(plan_.warnings, "\n")));
  if (options_.warning)
    for (const std::string& warning : plan_.warnings) options_.warning(warning);
}

bool PreparedConversion::is_written() const {
  return holds_conversion(options_, digest(), source_->files());
}

bool holds_conversion(const ConvertOptions& options, const std::string& digest,
                      const std::vector<std::string>& source_files) {
  if (options.if_done == IfDone::rewrite || !fs::exists(options.output)) return false;
  std::optional<Provenance> found;
  try {
    found = Provenance::read(options.output);
  } catch (const Error&) {
  }
  if (!found) return false;  // PendingFolder reports the error
  const auto other = [&](const char* what) {
    if (options.if_done == IfDone::renew) return false;
    throw Error(ErrorCode::usage,
                fmt::format("{}: holds {}; pass --force to replace it or choose another folder",
                            options.output.string(), what));
  };
  if (found->plan != digest) return other("another conversion (other options, model or version)");
  if (found->source != fingerprints(options.model, source_files))
    return other("the conversion of a model that has changed since");
  if (found->output.empty() || !found->changes(options.output, FileCheck::content).empty())
    return other("this conversion, but its files were changed since");
  return true;
}

PendingConversion PreparedConversion::write(const FolderClaim& claim, const Progress& progress) const {
  return PendingConversion(*this, claim, progress);
}

}  // namespace mlxe
