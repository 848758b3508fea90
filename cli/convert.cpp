// mlx-encoder convert: from a Hugging Face folder to an MLX one.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>

#include "command.h"
#include "compare/quality.h"
#include "conversion.h"
#include "mlx_encoder/error.h"
#include "quality_options.h"
#include "quant/default_scheme.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct Options {
  FolderOptions folder;
  std::string mode = "affine", layout = "hf";
  int bits = 0, group_size = 0;
  std::vector<std::string> keep, set;
  std::string calibrate, method = "auto";
  size_t calibrate_limit = 0;
  std::filesystem::path gates;
  bool quantize = false, dequantize = false, dry_run = false;
  std::vector<CLI::Option*> need_quantize, need_texts;
};

std::optional<Calibration> calibration(const Options& o) {
  if (o.calibrate.empty()) return std::nullopt;
  Calibration result{.method = parse_calibration_method(o.method), .limit = o.calibrate_limit};
  if (o.calibrate == "default") {
    result.texts = default_calibration_texts();
    return result;
  }
  const TextSource source{.input = o.calibrate,
                          .warning = warnings(o.folder.strict ? Strictness::strict : Strictness::warn)};
  source.read(4096, [&](std::vector<TextInput> texts) {
    std::ranges::move(texts, std::back_inserter(result.texts));
  });
  return result;
}

// Bits and group size left out take the mode's own default; ours for affine is 8 bits.
Scheme parse_scheme(const Options& o) {
  const Mode mode = o.quantize ? parse_mode(o.mode) : Mode::none;
  if (o.quantize && mode == Mode::none)
    throw Error(ErrorCode::usage, "--q-mode float: nothing would be quantized; leave -q out to only cast");
  Scheme scheme = default_scheme(mode);
  scheme.dtype = parse_dtype(o.folder.dtype.empty() ? "float16" : o.folder.dtype);
  if (mode == Mode::none) return scheme;
  if (o.bits) scheme.bits = o.bits;
  if (o.group_size) scheme.group_size = o.group_size;
  validate(scheme);
  return scheme;
}

int convert(const Options& o) {
  for (const CLI::Option* option : o.need_quantize)
    if (option->count() && !o.quantize)
      throw Error(ErrorCode::usage,
                  fmt::format("{} means something only when quantizing; add -q", option->get_name()));
  for (const CLI::Option* option : o.need_texts)
    if (option->count() && o.calibrate.empty())
      throw Error(ErrorCode::usage, fmt::format("{} means something only with texts; add --calibrate TEXTS",
                                                option->get_name()));
  if (o.dequantize) {
    if (o.quantize || o.dry_run) throw Error(ErrorCode::usage, "-d goes with neither -q nor --dry-run");
    return dequantize(o.folder);
  }
  std::optional<QualityFile> quality;
  if (!o.gates.empty()) quality = read_quality_file(o.gates);
  const ConvertOptions options{.model = o.folder.source(),
                               .output = o.folder.output,
                               .scheme = parse_scheme(o),
                               .keep = o.keep,
                               .overrides = o.set,
                               .calibration = calibration(o),
                               .layout = parse_layout(o.layout),
                               .max_shard_size = o.folder.max_shard_size(),
                               .strict = o.folder.strict,
                               .if_done = o.folder.if_done(),
                               .threads = o.folder.threads,
                               .warning = warnings(Strictness::warn),
                               .progress = progress()};
  if (!o.quantize)
    std::cerr << fmt::format(
        "note: only casting to {}, as mlx_lm.convert does without -q; add -q to quantize\n",
        to_string(options.scheme));
  const auto gates = [&](const Conversion& done) {
    return quality ? check_quality(*quality, measured(done), {}, {}, options.warning).gates
                   : std::vector<Gate>();
  };
  Conversion done{.plan = {}, .folder = options.output};
  if (o.dry_run) {
    done.plan = plan_conversion(options);
    show(done, Written::no, o.folder);
    return report_gates(gates(done));
  }
  if (quality && !options.calibration) {  // its gates know all before anything is written
    ConvertOptions silent = options;
    silent.warning = nullptr;
    done.plan = plan_conversion(silent);
    if (const int status = report_gates(gates(done))) return status;
  }
  done = mlxe::convert(options);
  show(done, Written::yes, o.folder);
  return report_gates(gates(done));
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("convert", "Convert a model folder to MLX, quantized with -q");
  auto o = std::make_shared<Options>();
  o->folder.add_to(*command);
  command->add_flag("-q,--quantize", o->quantize, "Quantize; without it the model is only cast");
  o->need_quantize = {
      command->add_option("--q-bits", o->bits,
                          "Bits of a code: affine 2, 3, 4, 5, 6 or 8 [8; mlx-lm's default is 4]"),
      command->add_option("--q-group-size", o->group_size,
                          "Values that share a scale: affine 32, 64 or 128 [64]"),
      command
          ->add_option(
              "--q-mode", o->mode,
              "affine, mxfp4, mxfp8, nvfp4 (MLX's), int8 (needs no MLX) or fake (a baseline to compare with)")
          ->capture_default_str(),
      command
          ->add_option("--keep", o->keep,
                       "Modules that stay float: a pattern such as 'encoder.layer.11.*'; may be repeated")
          ->allow_extra_args(false),
      command
          ->add_option("--set", o->set, "'PATTERN=bits[:group]' for the modules that match; may be repeated")
          ->allow_extra_args(false)};
  o->need_quantize.push_back(command->add_option("--calibrate", o->calibrate,
                                                 "Texts like those the model will see (.txt, .tsv, .jsonl), "
                                                 "or `default`, a text of this program's own: scales, "
                                                 "codes and biases are chosen by what they do to the "
                                                 "model's outputs there"));
  o->need_texts = {
      command
          ->add_option("--calibrate-limit", o->calibrate_limit,
                       "Texts of it to use, spread over the file; 0: about 24,000 tokens")
          ->capture_default_str(),
      command
          ->add_option("--method", o->method,
                       "auto (gptq unless plain rounding measures better), rtn (plain rounding), mse (a "
                       "search for each group's scale) or gptq (errors compensated)")
          ->capture_default_str()};
  command->add_option("--dtype", o->folder.dtype,
                      "Of what stays float and of scales: float16, bfloat16 or float32 [float16]");
  command->add_flag("-d,--dequantize", o->dequantize, "The same as the dequantize command");
  command
      ->add_option("--layout", o->layout,
                   "hf: Hugging Face's names; mlx-embeddings: what Python's mlx-embeddings loads unchanged")
      ->capture_default_str();
  add_quality(*command, o->gates, nullptr);
  command->add_flag("--dry-run", o->dry_run,
                    "Print what each tensor becomes and the exact size; write nothing");
  command->footer(
      "The default of 8 bits keeps vectors within a cosine of about 0.9999; mlx_lm.convert's default is 4 "
      "bits.");
  command->callback([o, &run] { run = [o] { return convert(*o); }; });
}

}  // namespace mlxe::cli
