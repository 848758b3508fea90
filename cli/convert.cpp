// mlx-encoder convert: from a Hugging Face folder to an MLX one.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "allocate/recipe.h"
#include "arguments.h"
#include "calibration_options.h"
#include "command.h"
#include "compare/gate_values.h"
#include "conversion.h"
#include "convert/routed_conversion.h"
#include "gates/quality.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/error.h"
#include "quality_options.h"
#include "quant/default_scheme.h"

namespace mlxe::cli {
namespace {

struct ConvertArguments {
  FolderOptions folder;
  std::string mode = "affine", layout = "hf";
  int bits = 0, group_size = 0;
  std::vector<std::string> keep, set;
  CalibrationOptions calibration;
  std::filesystem::path gates;
  std::string target_size, target_bits, min_cosine, max_relative_error, max_flips, texts, preset;
  std::filesystem::path recipe;
  bool quantize = false, dequantize = false, dry_run = false;
  std::vector<CLI::Option*> need_quantize, need_target;
  std::vector<CLI::Option*> allocating;  // each chooses bits for single matrices
  std::vector<CLI::Option*> uniform;     // one width for all
  std::vector<CLI::Option*> not_of_dequantize;

  // The given option that chooses bits for each matrix; null if there is none. Throws usage if there are
  // several.
  const CLI::Option* allocation() const {
    const CLI::Option* given = nullptr;
    for (const CLI::Option* option : allocating) {
      if (option->count() == 0) continue;
      if (given != nullptr)
        throw Error(ErrorCode::usage, fmt::format("{} and {} both choose the bits of each matrix; give one",
                                                  given->get_name(), option->get_name()));
      given = option;
    }
    return given;
  }
};

std::optional<Target> target(const ConvertArguments& o) {
  for (const auto& [kind, text] : {std::pair(TargetKind::size, &o.target_size),
                                   {TargetKind::bits, &o.target_bits},
                                   {TargetKind::cosine, &o.min_cosine},
                                   {TargetKind::relative_error, &o.max_relative_error},
                                   {TargetKind::flips, &o.max_flips}})
    if (!text->empty()) return parse_target(kind, *text);
  return std::nullopt;
}

// Missing bits and group size take the mode's default. For affine it is 8 bits (MLX's is 4).
Scheme parse_scheme(const ConvertArguments& o) {
  const Mode mode = o.quantize ? parse_mode(o.mode) : Mode::none;
  if (o.quantize && mode == Mode::none)
    throw Error(ErrorCode::usage, "--q-mode float quantizes nothing; leave -q out to only cast");
  Scheme scheme = default_scheme(mode);
  scheme.dtype = parse_dtype(o.folder.dtype.empty() ? "float16" : o.folder.dtype);
  if (mode == Mode::none) return scheme;
  if (o.bits) scheme.bits = o.bits;
  if (o.group_size) scheme.group_size = o.group_size;
  validate(scheme);
  return scheme;
}

// Whether to calibrate without --calibrate.
enum class ByDefault {
  no,
  yes,        // to a target, and as a recipe did
  if_narrow,  // if the plan has matrices below 8 bits
};

ByDefault calibrates_by_default(const ConvertArguments& o, const std::optional<allocate::Recipe>& recipe) {
  if (!o.calibration.is_unsaid()) return ByDefault::no;
  if (recipe) return recipe->calibration ? ByDefault::yes : ByDefault::no;
  return target(o) ? ByDefault::yes : ByDefault::if_narrow;
}

// Sets the calibration, as far as it is known before the plan. `texts`: the texts of a target. A default
// calibration uses them; every third one is held out. Returns whether the plan decides if there is a
// calibration.
bool set_calibration(const ConvertArguments& o, const std::optional<allocate::Recipe>& recipe,
                     std::vector<TextInput>& texts, CalibrationNotice& notice, ConvertOptions& options) {
  if (o.calibration.is_given()) {
    const bool built_in = o.calibration.texts == "default";
    options.calibration = o.calibration.on(built_in ? std::vector<TextInput>{}
                                                    : read_all_texts(o.calibration.texts, options.strict));
    return false;
  }
  const ByDefault by_default = calibrates_by_default(o, recipe);
  if (by_default == ByDefault::no) {
    o.calibration.expect_no_details();
  } else if (by_default == ByDefault::yes && can_calibrate(load_folder_tokenizer(options.model), options)) {
    options.calibration = o.calibration.on(std::exchange(texts, {}));
    options.progress = notice.watch(options.progress);
    if (o.dry_run) notice.announce();
  }
  return by_default == ByDefault::if_narrow;
}

// Errors: usage (options that do not go together).
void check(const ConvertArguments& o) {
  for (const CLI::Option* option : o.need_quantize)
    if (option->count() && !o.quantize && o.allocation() == nullptr)
      throw Error(ErrorCode::usage, fmt::format("{} needs -q", option->get_name()));
  o.calibration.check();
  if (o.dequantize && (o.quantize || o.dry_run || o.allocation() != nullptr))
    throw Error(ErrorCode::usage, "-d can't be combined with -q, a target, a preset, a recipe or --dry-run");
  if (o.dry_run && !o.folder.upload_repo.empty())
    throw Error(ErrorCode::usage, "--upload-repo can't be combined with --dry-run, which writes nothing");
  for (const CLI::Option* option : o.not_of_dequantize)
    if (o.dequantize && option->count() > 0)
      throw Error(ErrorCode::usage, fmt::format("-d can't be combined with {}", option->get_name()));
  const CLI::Option* allocates = o.allocation();
  if (allocates != nullptr)
    for (const CLI::Option* option : o.uniform)
      if (option->count() > 0 && !(option->get_name() == "--q-group-size" && !o.preset.empty()))
        throw Error(ErrorCode::usage, fmt::format("{} sets the bits of each matrix; leave {} out",
                                                  allocates->get_name(), option->get_name()));
  const std::optional<Target> wanted = target(o);
  for (const CLI::Option* option : o.need_target)
    if (option->count() > 0 && !wanted)
      throw Error(ErrorCode::usage,
                  fmt::format("{} needs a target such as --target-size 45MB", option->get_name()));
  if (wanted && o.texts.empty() && !o.calibration.is_given())
    throw Error(
        ErrorCode::usage,
        fmt::format("{} {} needs texts like those the model will see; add --texts FILE or --calibrate FILE",
                    option_of(wanted->kind), wanted->text));
}

bool any_failed(const std::vector<Gate>& gates) {
  return std::ranges::any_of(gates, [](const Gate& gate) { return !gate.passed; });
}

int convert(const ConvertArguments& o) {
  check(o);
  if (o.dequantize) return dequantize(o.folder);
  o.folder.require_upload();
  std::optional<QualityFile> quality;
  if (!o.gates.empty()) quality = read_quality_file(o.gates);
  const CLI::Option* allocates = o.allocation();
  const std::optional<Target> wanted = target(o);
  ConvertOptions options{.model = o.folder.source(),
                         .output = o.folder.output,
                         .scheme = parse_scheme(o),
                         .keep = o.keep,
                         .overrides = o.set,
                         .calibration = {},
                         .layout = parse_layout(o.layout),
                         .allow_unknown = o.folder.allow_unknown,
                         .max_shard_size = o.folder.max_shard_size(),
                         .strict = o.folder.strict,
                         .if_done = o.folder.if_done(),
                         .threads = o.folder.threads,
                         .warning = warnings(Strictness::warn),
                         .progress = progress()};
  if (!o.preset.empty()) {
    options.scheme = {Mode::affine, 8, o.group_size ? o.group_size : 64, options.scheme.dtype};
    apply_preset(o.preset, options);
  }
  std::optional<allocate::Recipe> recipe;
  if (!o.recipe.empty()) recipe = allocate::Recipe::read(o.recipe);
  std::vector<TextInput> texts;  // for a target
  if (!o.texts.empty()) texts = read_all_texts(o.texts, options.strict);
  CalibrationNotice notice(wanted ? "two thirds of the texts and the built-in text" : "the built-in text");
  const bool plan_decides = set_calibration(o, recipe, texts, notice, options);
  const auto checked_gates = [&](const Conversion& conversion, const Warning& warning) {
    return quality ? std::optional(check_quality(*quality, to_gate_values(conversion), {}, {}, warning))
                   : std::nullopt;
  };
  const auto finish = [&](const auto& result, const Conversion& conversion, Written written) {
    Afterwards after{.checked = checked_gates(conversion, options.warning)};
    notice.say_time();
    if (written == Written::yes && !(after.checked && any_failed(after.checked->gates)))
      after.uploaded = o.folder.upload(conversion.folder);
    show(result, written, o.folder, after);
    return after.checked ? report_gates(after.checked->gates) : 0;
  };
  if (wanted) {
    prepare_memory_for(options.calibration);
    const TargetedConversion proved =
        convert_to_target(options, *wanted, texts, o.dry_run ? Outcome::discard : Outcome::commit);
    return finish(proved, proved.conversion, o.dry_run ? Written::no : Written::yes);
  }
  if (recipe) {
    const Dtype asked = options.scheme.dtype;
    allocate::apply(*recipe, o.recipe, options);
    if (!o.folder.dtype.empty() && asked != options.scheme.dtype)
      throw Error(ErrorCode::usage,
                  fmt::format("--dtype {}: {} was made for {}; leave --dtype out", o.folder.dtype,
                              o.recipe.string(), to_string(Scheme{.dtype = options.scheme.dtype})));
  }
  FolderConversion prepared(options);
  if (!o.quantize && allocates == nullptr)
    std::cerr << fmt::format(
        "note: only casting to {}, as mlx_lm.convert does without -q; add -q to quantize\n",
        to_string(options.scheme));
  bool calibrates = false;
  if (plan_decides)
    for (PreparedConversion& part : prepared.parts()) calibrates |= calibrate_narrow(o.calibration, part);
  if (calibrates) {
    options.progress = notice.watch(options.progress);
    if (o.dry_run) notice.announce();
  }
  for (const PreparedConversion& part : prepared.parts()) prepare_memory_for(part.options().calibration);
  const Conversion planned{.plan = prepared.plan(), .folder = options.output, .calibration = {}};
  if (o.dry_run) {
    prepared.report_warnings();
    return finish(planned, planned, Written::no);
  }
  if (quality) {  // most gates of convert can be checked before anything is written
    const std::optional<QualityCheck> checked = checked_gates(planned, nullptr);
    if (any_failed(checked->gates)) {
      if (o.folder.json) show(planned, Written::no, o.folder, {.checked = checked});
      return report_gates(checked->gates);
    }
  }
  const Conversion done = prepared.convert(options.progress);
  return finish(done, done, Written::yes);
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("convert", "Convert a model folder to MLX's format; -q quantizes it");
  auto o = std::make_shared<ConvertArguments>();
  o->folder.add_to(*command);
  command->add_flag("-q,--quantize", o->quantize, "Quantize; without it the model is only cast");
  o->need_quantize = {
      command
          ->add_option("--q-bits", o->bits,
                       "Bits of a code: affine 2, 3, 4, 5, 6 or 8 [8; mlx-lm's default is 4]")
          ->check(at_least(1)),
      command
          ->add_option("--q-group-size", o->group_size,
                       "Values that share a scale: affine 32, 64 or 128 [64]")
          ->check(at_least(1)),
      command
          ->add_option(
              "--q-mode", o->mode,
              "affine, mxfp4, mxfp8, nvfp4 (MLX's), int8 (needs no MLX) or fake (a baseline to compare with)")
          ->capture_default_str(),
      command
          ->add_option("--keep", o->keep,
                       "Modules to store as float: a pattern such as 'encoder.layer.11.*'; may be repeated")
          ->allow_extra_args(false),
      command
          ->add_option("--set", o->set, "'PATTERN=bits[:group]' for the modules that match; may be repeated")
          ->allow_extra_args(false)};
  for (CLI::Option* option : o->calibration.add_to(*command)) o->need_quantize.push_back(option);
  o->uniform = {o->need_quantize[0], o->need_quantize[1], o->need_quantize[2]};
  o->allocating = {
      command->add_option(
          "--target-size", o->target_size,
          "Choose bits for each matrix so that the weight files take at most this: 45MB, 43MiB"),
      command->add_option(
          "--target-bits", o->target_bits,
          "Choose bits for each matrix so that the model has at most this many bits a weight, "
          "all tensors counted: 4.5"),
      command->add_option("--min-cosine", o->min_cosine,
                          "The smallest model whose vectors keep this mean cosine on held-out texts: 0.995"),
      command->add_option("--max-relative-error", o->max_relative_error,
                          "The smallest model whose vectors have at most this relative error (docs/gates.md) "
                          "on held-out texts: 0.01"),
      command->add_option(
          "--max-flips", o->max_flips,
          "The smallest model that changes at most this share of labels on held-out texts: 1%"),
      command->add_option(
          "--recipe", o->recipe,
          "Store each matrix in the scheme that this file gives: mlx_encoder_recipe.json of an "
          "earlier conversion to a target"),
      command->add_option("--quant-predicate", o->preset,
                          "mixed_2_6, mixed_3_4, mixed_3_6, mixed_4_6 or mixed_4_8: the first width for most "
                          "matrices, the second for those that gain most")};
  o->need_target = {
      command->add_option("--texts", o->texts,
                          "Texts for a target (.txt, .tsv, .jsonl, .parquet, .conll); a third of them is "
                          "held out to measure the result [those of --calibrate]")};
  command->add_option("--dtype", o->folder.dtype,
                      "Dtype of float tensors and of scales: float16, bfloat16 or float32 [float16]");
  command->add_flag("-d,--dequantize", o->dequantize, "The same as the dequantize command");
  o->not_of_dequantize.push_back(
      command
          ->add_option(
              "--layout", o->layout,
              "hf: Hugging Face's names; mlx-embeddings: what Python's mlx-embeddings loads unchanged")
          ->capture_default_str());
  add_quality(*command, o->gates, nullptr);
  o->not_of_dequantize.push_back(command->get_option("--gates"));
  command->add_flag("--dry-run", o->dry_run,
                    "Print the scheme of each tensor and the exact size; write nothing");
  command->footer(
      "The default of 8 bits keeps vectors within a cosine of about 0.9999; mlx_lm.convert's default is 4 "
      "bits.");
  command->callback([o, &run] { run = [o] { return convert(*o); }; });
}

}  // namespace mlxe::cli
