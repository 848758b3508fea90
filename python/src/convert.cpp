#include "mlx_encoder/convert.h"

#include <algorithm>

#include "base/wording.h"
#include "call.h"
#include "convert/routed_conversion.h"
#include "format/json_file.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/hub.h"
#include "model.h"
#include "quant/default_scheme.h"
#include "values.h"

namespace mlxe::python {
namespace {

// The arguments of mlx_encoder.convert() that decide what is written.
struct ConvertRequest {
  std::string model, task;
  std::vector<std::string> adapters;
  ConvertOptions options;
  std::string preset;  // of bits for each matrix; empty: one width
  std::string upload_repo;
  bool dequantize = false, dry_run = false;
  std::optional<Dtype> dtype;
  Calibration calibration;
  // Calibrates if the plan has matrices below 8 bits, as the program does.
  bool calibrate_narrow = false;

  // Errors: usage. To be called if nothing is calibrated.
  void expect_no_details() const {
    const bool rounds =
        calibration.method == CalibrationMethod::automatic || calibration.method == CalibrationMethod::rtn;
    if (!rounds || calibration.limit > 0)
      throw Error(ErrorCode::usage,
                  "method and calibrate_limit need calibration; add calibrate=\"default\" or texts");
  }
};

struct Written {
  Conversion conversion;
  bool dry_run = false;
  std::optional<Uploaded> uploaded = {};
};

Scheme scheme_of(bool quantize, const std::string& mode, int bits, int group_size,
                 const std::optional<Dtype>& dtype) {
  Scheme scheme = default_scheme(quantize ? parse_mode(mode) : Mode::none);
  if (quantize && scheme.mode == Mode::none)
    throw Error(ErrorCode::usage, "q_mode \"float\" quantizes nothing; leave quantize out to only cast");
  scheme.dtype = dtype.value_or(Dtype::f16);
  if (!quantize) return scheme;
  if (bits > 0) scheme.bits = bits;
  if (group_size > 0) scheme.group_size = group_size;
  validate(scheme);
  return scheme;
}

uint64_t shard_bytes(const std::string& size) {
  const std::optional<uint64_t> bytes = parse_bytes(size);
  if (!bytes)
    throw Error(ErrorCode::usage,
                "max_shard_size: found " + printable(size) + ", expected a size such as 5GB or 500MiB");
  return *bytes;
}

void calibrate_narrow(const ConvertRequest& request, PreparedConversion& prepared) {
  const bool narrow = prepared.options().scheme.mode == Mode::affine &&
                      std::ranges::any_of(prepared.plan().tensors, [](const PlannedTensor& t) {
                        return t.scheme.mode == Mode::affine && t.scheme.bits < 8;
                      });
  if (!narrow) return request.expect_no_details();
  const FolderTokenizer& tokenizer = prepared.source().tokenizer;
  if (tokenizer.state == FolderTokenizer::State::loaded) {
    prepared.calibrate(request.calibration);
    return;
  }
  const std::string sentence = tokenizer.why +
                               ": no calibration, the default below 8 bits, because it needs the model's "
                               "tokenizer; matrices are rounded to "
                               "nearest (calibrate=\"none\" does so without this warning)";
  if (prepared.options().strict) throw Error(ErrorCode::strict, sentence + " (an error with strict=True)");
  prepared.options().warning(sentence);
}

HubOptions hub_options(CallState& call) {
  return {.warning = call.warning(), .progress = call.progress()};
}

Written write(ConvertRequest& request, CallState& call) {
  ConvertOptions& o = request.options;
  o.model = source_folder(request.model, request.task, request.adapters, hub_options(call));
  o.warning = call.warning();
  o.progress = call.progress();
  if (request.dequantize)
    return {dequantize_model({.model = o.model,
                              .output = o.output,
                              .dtype = request.dtype,
                              .allow_unknown = o.allow_unknown,
                              .max_shard_size = o.max_shard_size,
                              .strict = o.strict,
                              .if_done = o.if_done,
                              .threads = o.threads,
                              .warning = o.warning,
                              .progress = o.progress})};
  if (!request.preset.empty()) apply_preset(request.preset, o);
  FolderConversion prepared(o);
  if (request.calibrate_narrow)
    for (PreparedConversion& part : prepared.parts()) calibrate_narrow(request, part);
  if (!request.dry_run) return {prepared.convert(o.progress)};
  prepared.report_warnings();
  return {.conversion = {.plan = prepared.plan(), .folder = o.output, .calibration = {}}, .dry_run = true};
}

Written write_and_upload(ConvertRequest& request, CallState& call) {
  const std::string& repo = request.upload_repo;
  if (!repo.empty() && request.dry_run)
    throw Error(ErrorCode::usage, "upload_repo can't be combined with dry_run, which writes nothing");
  if (!repo.empty()) require_upload(repo, hub_options(call));
  Written written = write(request, call);
  if (!repo.empty()) written.uploaded = upload_model(written.conversion.folder, repo, hub_options(call));
  return written;
}

template <class Pairs>
nb::dict dict_of(const Pairs& pairs) {
  nb::dict dict;
  for (const auto& [key, value] : pairs) dict[key.c_str()] = value;
  return dict;
}

auto planned(const PlannedTensor& t) {
  const bool kept = t.scheme.mode == Mode::none;
  return result<"reports.PlannedTensor">(
      "name"_a = t.name, "source"_a = t.source, "shape"_a = nb::tuple(nb::cast(t.shape)), "role"_a = t.role,
      "scheme"_a = kept && !is_float(t.scheme.dtype) ? name(t.scheme.dtype) : to_string(t.scheme),
      "mode"_a = name(t.scheme.mode),
      "bits"_a = kept ? static_cast<int>(8 * size_of(t.scheme.dtype)) : t.scheme.bits,
      "group_size"_a = t.scheme.group_size, "bytes"_a = t.bytes, "reason"_a = t.reason);
}

nb::object uploaded_to(const std::optional<Uploaded>& u) {
  if (!u) return nb::none();
  return result<"reports.Upload">("url"_a = u->url, "commit"_a = u->commit, "bytes"_a = u->bytes);
}

auto result_of(const Written& written) {
  const Conversion& c = written.conversion;
  const ConversionPlan& plan = c.plan;
  return result<"reports.Conversion">(
      "output"_a = c.folder.string(), "bytes"_a = written.dry_run ? nb::none() : nb::cast(c.bytes),
      "predicted_bytes"_a = plan.predicted_bytes, "folder_bytes"_a = plan.folder_bytes,
      "source_bytes"_a = plan.source_bytes, "parameters"_a = plan.parameters,
      "bits_per_weight"_a = plan.bits_per_weight, "dry_run"_a = written.dry_run, "skipped"_a = c.skipped,
      "files"_a = dict_of(plan.files), "tensors"_a = list_of(plan.tensors, planned),
      "dropped"_a = dict_of(plan.dropped),
      "calibration"_a = list_of(c.calibration,
                                [](const TensorCalibration& t) {
                                  return result<"reports.TensorCalibration">(
                                      "name"_a = t.name, "method"_a = t.method, "rtn_error"_a = t.rtn_error,
                                      "error"_a = t.error);
                                }),
      "warnings"_a = plan.warnings, "notes"_a = plan.notes, "uploaded"_a = uploaded_to(written.uploaded));
}

auto convert_model(const std::string& model, const std::string& mlx_path, bool quantize, int q_bits,
                   int q_group_size, const std::string& q_mode, const std::string& dtype,
                   const std::string& quant_predicate, const std::vector<std::string>& keep,
                   const std::vector<std::string>& set, const std::string& calibrate,
                   const Inputs& calibration_texts, bool calibrate_only, size_t calibrate_limit,
                   const std::string& method, const std::string& layout, const std::string& max_shard_size,
                   const std::string& task, const std::vector<std::string>& adapters,
                   const std::string& upload_repo, bool dequantize, bool dry_run, bool allow_unknown,
                   bool strict, bool force, int threads, const nb::object& progress) {
  ConvertRequest request{.model = model, .task = task, .adapters = adapters, .options = {}};
  if (!dtype.empty()) request.dtype = parse_dtype(dtype);
  request.preset = quant_predicate;
  request.upload_repo = upload_repo;
  request.dequantize = dequantize;
  request.dry_run = dry_run;
  ConvertOptions& o = request.options;
  o.output = mlx_path;
  o.scheme = scheme_of(quantize, q_mode, q_bits, q_group_size, request.dtype);
  o.keep = keep;
  o.overrides = set;
  o.layout = parse_layout(layout);
  o.allow_unknown = allow_unknown;
  o.max_shard_size = shard_bytes(max_shard_size);
  o.strict = strict;
  o.if_done = force ? IfDone::rewrite : IfDone::skip;
  o.threads = threads;
  request.calibration = {.texts = inputs_of(calibration_texts),
                         .method = parse_calibration_method(method),
                         .limit = calibrate_limit,
                         .built_in = calibrate_only ? BuiltInText::left_out : BuiltInText::mixed_in};
  const bool unsaid = calibrate.empty() && request.calibration.method != CalibrationMethod::rtn;
  request.calibrate_narrow = quantize && unsaid;
  if (calibrate == "default" || calibrate == "texts")
    o.calibration = request.calibration;
  else if (!request.calibrate_narrow)
    request.expect_no_details();
  return result_of(run(progress, OnInterrupt::wait, [request = std::move(request)](CallState& call) mutable {
    return write_and_upload(request, call);
  }));
}

}  // namespace

void bind_convert(nb::module_& m) {
  m.def("convert", convert_model, "model"_a, "mlx_path"_a, "quantize"_a, "q_bits"_a, "q_group_size"_a,
        "q_mode"_a, "dtype"_a, "quant_predicate"_a, "keep"_a, "set"_a, "calibrate"_a, "calibration_texts"_a,
        "calibrate_only"_a, "calibrate_limit"_a, "method"_a, "layout"_a, "max_shard_size"_a, "task"_a,
        "adapters"_a, "upload_repo"_a, "dequantize"_a, "dry_run"_a, "allow_unknown"_a, "strict"_a, "force"_a,
        "threads"_a, "progress"_a.none(), "A reports.Conversion.");
}

}  // namespace mlxe::python
