#include "convert/blueprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/sha256.h"
#include "base/wording.h"
#include "calibrate/calibration_texts.h"
#include "convert/carried_files.h"
#include "convert/model_card.h"
#include "convert/pieces.h"
#include "convert/value_grid.h"
#include "convert/written_config.h"
#include "encoder/model_loader.h"
#include "format/json_file.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "models/mlx_embeddings_layout.h"
#include "models/registry.h"
#include "models/tied_tensors.h"
#include "quant/policy.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kListed = 8;  // names a message spells out
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kModules = "modules.json";

// The name a tensor gets: the source's own without a wrapper's prefix, old endings brought up to date.
std::string written_name(const CheckpointTensor& tensor, const std::string& foreign_prefix) {
  std::string name = tensor.original;
  if (name.starts_with(foreign_prefix)) name.erase(0, foreign_prefix.size());
  const auto replace_end = [&](std::string_view from, std::string_view to) {
    if (name.ends_with(from) && tensor.name.ends_with(to))
      name.replace(name.size() - from.size(), from.size(), to);
  };
  replace_end("gamma", "weight");
  replace_end("beta", "bias");
  return name;
}

// What "quantization" in config.json calls a matrix: its module, or the tensor where that is no module's weight.
std::string override_key(const std::string& tensor) {
  const std::string module(module_of(tensor));
  return module.empty() ? tensor : module;
}

const char* role_name(Role role) {
  switch (role) {
    case Role::linear:
      return "linear";
    case Role::embedding:
      return "embedding";
    case Role::token_type_embedding:
      return "token_type_embedding";
    case Role::relative_bias:
      return "relative_bias";
    case Role::classifier:
      return "classifier";
    case Role::norm:
      return "norm";
    case Role::bias:
      return "bias";
  }
  return "";
}

struct ParameterList : ParameterVisitor {
  std::vector<ParameterSpec> specs;
  std::set<std::string, std::less<>> names;

  void parameter(const ParameterSpec& spec, WeightId&) override {
    if (names.insert(spec.name).second) specs.push_back(spec);
  }
};

// "org/name" if the folder is a snapshot in Hugging Face's cache, .../models--org--name/snapshots/<commit>;
// else empty. (config.json's "_name_or_path" is what the model was trained from, not what it is.)
std::string hub_name(const fs::path& folder) {
  constexpr std::string_view kPrefix = "models--";
  for (const fs::path& part : fs::absolute(folder)) {
    std::string name = part.string();
    if (!name.starts_with(kPrefix)) continue;
    name.erase(0, kPrefix.size());
    if (const size_t dashes = name.find("--"); dashes != name.npos) return name.replace(dashes, 2, "/");
  }
  return {};
}

class Planner {
 public:
  Planner(const ConvertOptions& options, Purpose purpose)
      : options_(options),
        purpose_(purpose),
        global_(options.scheme),
        policy_(options.scheme, options.keep, options.overrides, options.allocation),
        bp_{.checkpoint = Checkpoint::open(options.model, warn())},
        model_(make_model(bp_.checkpoint, warn())) {}

  Blueprint run() {
    if (options_.layout == Layout::mlx_embeddings) form_.emplace(model_, bp_.checkpoint);
    for (std::string& change :
         changes_since_conversion(options_.model, options_.strict ? FileCheck::content : FileCheck::size))
      warnings_.push_back(std::move(change));
    read_sentence();
    read_tokenizer();
    model_.visit(claimed_);
    for (const ParameterSpec& spec : claimed_.specs) plan_claimed(spec);
    if (!problems_.empty())
      throw Error(ErrorCode::format, fmt::format("{}: {}", folder(), listed(problems_, kListed, "; ")));
    if (form_)
      for (const MadeUpTensor& tensor : form_->made_up()) plan_made_up(tensor);
    for (const CheckpointTensor& tensor : bp_.checkpoint.tensors())
      if (!claimed_.names.contains(tensor.name)) plan_rest(tensor);
    if (purpose_ == Purpose::convert) describe_source();
    say_what_was_left();
    check_policy();
    make_shards();
    write_texts();
    finish();
    return std::move(bp_);
  }

 private:
  ConversionPlan& plan() { return bp_.plan; }
  std::string folder() const { return bp_.checkpoint.folder().string(); }
  Warning warn() {
    return [this](std::string_view sentence) { warnings_.emplace_back(sentence); };
  }
  void note(std::string sentence) { plan().notes.push_back(std::move(sentence)); }

  void read_sentence() {
    // That mean pooling is assumed is for whoever runs the model.
    sentence_ = read_sentence_modules(options_.model, warn(), ExpectVectors::no);
    check_dense(sentence_, options_.model);
    if (!form_) return;
    for (const SentenceModuleSpec& module : sentence_.modules)
      if (const auto* dense = std::get_if<DenseSpec>(&module))
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{}: mlx-embeddings loads no folder with a Dense module ({}): it takes its weights "
                        "for the encoder's; use --layout hf",
                        folder(), dense->folder));
    for (std::string& caveat : form_->caveats(sentence_, options_.model))
      warnings_.push_back(std::move(caveat));
  }

  void read_tokenizer() {
    bp_.tokenizer = load_carried_tokenizer(options_.model);
    if (bp_.tokenizer.state == CarriedTokenizer::State::none)
      note(fmt::format("{}: has no tokenizer, so the result has none", folder()));
    if (bp_.tokenizer.state == CarriedTokenizer::State::foreign)
      warnings_.push_back(bp_.tokenizer.why + "; its files are carried over unread");
  }

  // By its files' own word or by its values, of which those of an original are read no further than its first
  // rows.
  void describe_source() {
    bool stray = false;
    for (const CheckpointTensor& t : bp_.checkpoint.tensors()) stray |= t.role == TensorRole::fake_part;
    const Config& config = bp_.checkpoint.config();
    const bool declared =
        config.has("mlx_encoder") && config.object("mlx_encoder").get_or<std::string>("scheme", "") == "fake";
    const std::string seen = stray || declared ? "" : values_on_a_grid();
    if (stray || declared || !seen.empty())
      warnings_.push_back(
          fmt::format("{}: fake-quantized{}: its floats carry the error of an earlier quantization, which no "
                      "conversion undoes; quantizing adds a second rounding: convert the original model if "
                      "you have it",
                      folder(), seen));
  }

  // Of the first such matrix; empty without one.
  std::string values_on_a_grid() const {
    for (const Work& work : bp_.work)
      if (work.origin == Work::Origin::stored)
        if (const auto grid = find_value_grid(bp_.checkpoint, work.source))
          return fmt::format(" ({}: {})", work.source.name, to_string(*grid, work.source.dtype));
    return {};
  }

  // What stays float is written in the asked-for dtype; the fake baseline leaves it as it is.
  Dtype float_dtype(Dtype source) const {
    if (options_.scheme.mode != Mode::fake) return options_.scheme.dtype;
    return source == Dtype::f64 ? Dtype::f32 : source;
  }

  void plan_claimed(const ParameterSpec& spec) {
    const CheckpointTensor* tensor = bp_.checkpoint.find(spec.name);
    if (!tensor) {
      problems_.push_back(spec.name + " is missing");
      return;
    }
    StoredWeight stored;
    try {
      stored = bp_.checkpoint.stored(spec.name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::format) throw;
      problems_.push_back(error.what());
      return;
    }
    if (stored.shape != spec.shape) {
      problems_.push_back(fmt::format("{} is {}, config.json implies {}", spec.name, to_string(stored.shape),
                                      to_string(spec.shape)));
      return;
    }
    if (stored.scheme.mode == Mode::none && !is_float(stored.dtype)) {
      problems_.push_back(
          fmt::format("{} is {}, expected F64, F32, F16 or BF16", spec.name, name(stored.dtype)));
      return;
    }
    std::string written = written_name(*tensor, bp_.checkpoint.foreign_prefix());
    if (form_) {
      const std::optional<std::string> theirs = form_->name(spec.name);
      if (!theirs) {
        drop(*tensor, "mlx-embeddings has no place for it");
        left_out_.push_back(tensor->original);
        return;
      }
      written = *theirs;
    }
    if (!tensor->original.ends_with(written) && !form_) renamed_.push_back(tensor->original);
    PolicyDecision decision = policy_.decide(spec.name, spec.shape, spec.role);
    Scheme scheme = decision.scheme;
    if (scheme.mode == Mode::none) scheme.dtype = float_dtype(stored.dtype);
    if (stored.scheme.mode != Mode::none && !same_form(stored.scheme, scheme) && scheme.mode != Mode::none)
      requantized_.push_back(tensor->original);
    if (stored.scheme.mode != Mode::none && scheme.mode == Mode::none)
      dequantized_.push_back(tensor->original);
    if (decision.fallback) fallbacks_[decision.reason].push_back(spec.name);
    add({.name = written,
         .source = tensor->original,
         .shape = stored.shape,
         .role = role_name(spec.role),
         .scheme = scheme,
         .reason = decision.reason},
        Work::Origin::stored, stored);
    canonical_module_[written] = override_key(spec.name);
  }

  void plan_made_up(const MadeUpTensor& tensor) {
    const bool zeros = tensor.fill == MadeUpTensor::Fill::zeros;
    add({.name = tensor.name,
         .source = {},
         .shape = tensor.shape,
         .role = role_name(tensor.role),
         .scheme = {.dtype = float_dtype(Dtype::f32)},
         .reason = fmt::format("made up ({}): {}", zeros ? "zeros" : "identity", tensor.why)},
        zeros ? Work::Origin::zeros : Work::Origin::identity, {});
    note(fmt::format("{}: written as {}; {}", tensor.name, zeros ? "zeros" : "the identity", tensor.why));
  }

  // What the model does not read.
  void plan_rest(const CheckpointTensor& tensor) {
    if (tensor.role == TensorRole::part && claimed_.names.contains(tensor.owner)) return;
    if (tensor.role == TensorRole::buffer) {
      drop(tensor, "a constant every loader makes itself");
      buffers_.push_back(tensor.original);
      return;
    }
    if (tensor.role == TensorRole::fake_part) {
      drop(tensor, "nothing reads it: the weight beside it is stored as floats");
      stray_.push_back(tensor.original);
      return;
    }
    if (tensor.role == TensorRole::part) return;  // written with its owner
    if (const CheckpointTensor* original = tied_to(tensor)) {
      drop(tensor, "the same tensor as " + original->original);
      bp_.tied.emplace_back(bp_.checkpoint.stored(original->name), bp_.checkpoint.stored(tensor.name));
      note(fmt::format("{}: tied to {}, stored once", tensor.original, original->original));
      return;
    }
    if (form_) {
      drop(tensor, "mlx-embeddings has no place for it");
      left_out_.push_back(tensor.original);
      return;
    }
    const StoredWeight stored = bp_.checkpoint.stored(tensor.name);
    Scheme scheme{.dtype = stored.dtype};
    if (stored.scheme.mode != Mode::none || is_float(stored.dtype)) scheme.dtype = float_dtype(stored.dtype);
    carried_over_.push_back(tensor.original);
    add({.name = written_name(tensor, bp_.checkpoint.foreign_prefix()),
         .source = tensor.original,
         .shape = stored.shape,
         .role = "unused",
         .scheme = scheme,
         .reason = options_.scheme.mode == Mode::none ? "" : "not part of the model this version runs"},
        Work::Origin::stored, stored);
  }

  const CheckpointTensor* tied_to(const CheckpointTensor& tensor) const {
    const auto find =
        [&](std::span<const std::pair<std::string_view, std::string_view>> table) -> const CheckpointTensor* {
      for (const auto& [copy, original] : table) {
        if (tensor.name != copy) continue;
        const CheckpointTensor* other = bp_.checkpoint.find(original);
        if (other && bp_.checkpoint.stored(original).shape == bp_.checkpoint.stored(copy).shape) return other;
      }
      return nullptr;
    };
    if (const CheckpointTensor* bias = find(kTiedBiases)) return bias;
    return bp_.checkpoint.config().get_or<bool>("tie_word_embeddings", true) ? find(kTiedWeights) : nullptr;
  }

  void drop(const CheckpointTensor& tensor, std::string why) {
    plan().dropped.emplace_back(tensor.original, std::move(why));
  }

  void add(PlannedTensor tensor, Work::Origin origin, const StoredWeight& source) {
    Work work{origin, source, pieces_of(tensor.name, tensor.shape, tensor.scheme)};
    for (const TensorSpec& spec : work.specs) tensor.bytes += spec.bytes();
    plan().parameters += static_cast<uint64_t>(element_count(tensor.shape));
    plan().tensors.push_back(std::move(tensor));
    bp_.work.push_back(std::move(work));
  }

  void say_what_was_left() {
    for (const auto& [reason, names] : fallbacks_)
      warnings_.push_back(fmt::format("{}: {} ({} tensor{}: {})", folder(), reason, names.size(),
                                      names.size() == 1 ? "" : "s", listed(names, kListed)));
    const auto say = [&](const std::vector<std::string>& names, auto format) {
      if (!names.empty()) format(listed(names, kListed));
    };
    const auto count = [](const std::vector<std::string>& names) {
      return fmt::format("{} tensor{}", names.size(), names.size() == 1 ? "" : "s");
    };
    say(carried_over_, [&](const std::string& names) {
      warnings_.push_back(
          fmt::format("{}: {} not part of the model this version runs, carried over as floats: {}", folder(),
                      count(carried_over_), names));
    });
    say(left_out_, [&](const std::string& names) {
      warnings_.push_back(fmt::format("{}: {} without a place in mlx-embeddings, not written: {}", folder(),
                                      count(left_out_), names));
    });
    say(requantized_, [&](const std::string& names) {
      warnings_.push_back(fmt::format(
          "{}: {} already quantized another way, requantized from the dequantized values, which adds "
          "a second rounding: {}",
          folder(), count(requantized_), names));
    });
    if (purpose_ == Purpose::convert)
      say(dequantized_, [&](const std::string& names) {
        warnings_.push_back(fmt::format("{}: {} stored quantized, written as floats: {}", folder(),
                                        count(dequantized_), names));
      });
    say(stray_, [&](const std::string& names) {
      note(fmt::format("dropped {} that nothing reads: {}", count(stray_), names));
    });
    say(buffers_, [&](const std::string& names) {
      note(fmt::format("dropped constants every loader makes itself: {}", names));
    });
    say(renamed_, [&](const std::string& names) {
      note(fmt::format("renamed {} from gamma/beta to weight/bias: {}", count(renamed_), names));
    });
  }

  void check_policy() {
    if (options_.scheme.mode == Mode::none) return;
    if (const auto unmatched = policy_.unmatched(); !unmatched.empty())
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: no tensor of the model matches; patterns name modules without the prefix \"{}.\", "
                      "`mlx-encoder inspect {}` lists them",
                      listed(unmatched, kListed), find_architecture(bp_.checkpoint.config()).base_prefix,
                      folder()));
    const auto is_quantized = [](const PlannedTensor& t) { return t.scheme.mode != Mode::none; };
    const auto as_asked = [&](const PlannedTensor& t) { return same_form(t.scheme, options_.scheme); };
    const auto first = std::ranges::find_if(plan().tensors, is_quantized);
    any_quantized_ = first != plan().tensors.end();
    // What config.json gives for the whole model should be true of some of it.
    if (any_quantized_ && std::ranges::none_of(plan().tensors, as_asked)) global_ = first->scheme;
    if (any_quantized_) return;
    if (!fallbacks_.empty()) refuse_to_quantize_nothing();
    warnings_.push_back(fmt::format("{}: nothing is left to be stored as {}; all stay float", folder(),
                                    to_string(options_.scheme)));
  }

  // A quantized model was asked for, and what would be written is a cast one.
  [[noreturn]] void refuse_to_quantize_nothing() const {
    std::vector<std::string> reasons;
    for (const auto& [reason, names] : fallbacks_)
      reasons.push_back(fmt::format("{} ({} tensor{})", reason, names.size(), names.size() == 1 ? "" : "s"));
    throw Error(ErrorCode::usage,
                fmt::format("{}: no tensor can be stored as {}: {}; quantize with mode int8 (--q-mode int8), "
                            "which has a scale a row instead of groups, or only cast (leave -q out); --keep "
                            "'*' says that all shall stay float",
                            folder(), to_string(options_.scheme), fmt::join(reasons, "; ")));
  }

  void make_shards() {
    std::vector<std::pair<size_t, size_t>> ranges;
    uint64_t held = 0;
    for (size_t i = 0; i < bp_.work.size(); ++i) {
      const uint64_t bytes = plan().tensors[i].bytes;
      if (ranges.empty() || held + bytes > options_.max_shard_size) {
        ranges.emplace_back(i, 0);
        held = 0;
      }
      ++ranges.back().second;
      held += bytes;
    }
    bp_.metadata = {{"format", purpose_ == Purpose::dequantize ? "pt" : "mlx"}};
    for (size_t i = 0; i < ranges.size(); ++i)
      bp_.shards.push_back({ranges.size() == 1
                                ? std::string("model.safetensors")
                                : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, ranges.size()),
                            ranges[i].first, ranges[i].second});
    for (const Shard& shard : bp_.shards) {
      plan().files.emplace_back(shard.file,
                                SafetensorsWriter::predicted_size(bp_.specs(shard), bp_.metadata));
      plan().predicted_bytes += plan().files.back().second;
    }
    uint64_t payload = 0;
    for (const PlannedTensor& tensor : plan().tensors) payload += tensor.bytes;
    plan().source_bytes = bp_.checkpoint.bytes();
    plan().bits_per_weight =
        plan().parameters ? 8.0 * static_cast<double>(payload) / static_cast<double>(plan().parameters) : 0;
    payload_ = payload;
  }

  std::string index_text() {
    nlohmann::json map = nlohmann::json::object();
    for (const Shard& shard : bp_.shards)
      for (const TensorSpec& spec : bp_.specs(shard)) map[spec.name] = shard.file;
    return pretty({{"metadata", {{"total_parameters", plan().parameters}, {"total_size", payload_}}},
                   {"weight_map", map}});
  }

  // modules.json for the written folder, where the transformer's files are beside it.
  std::string modules_text() {
    nlohmann::json modules = read_json(options_.model / kModules);
    modules.at(0)["path"] = "";
    note(fmt::format("{}: the transformer's files are written into the folder itself",
                     sentence_.transformer.string()));
    return pretty(modules);
  }

  std::string config_text() {
    StoredForm form{.scheme = global_, .any_quantized = any_quantized_, .dtype = {}, .overrides = {}};
    if (options_.scheme.mode != Mode::fake) form.dtype = options_.scheme.dtype;
    for (const PlannedTensor& tensor : plan().tensors) {
      if (!is_mlx(tensor.scheme.mode)) continue;
      // mlx-embeddings takes a module of a size that 64 does not divide for a float unless it is named.
      const bool must_be_named = form_ && element_count(tensor.shape) % 64 != 0;
      if (same_form(tensor.scheme, global_) && !must_be_named) continue;
      form.overrides[override_key(tensor.name)] = tensor.scheme;
      if (!form_)
        form.overrides[canonical_module_.at(tensor.name)] =
            tensor.scheme;  // for loaders that strip the prefix
    }
    return written_config(form_ ? form_->config() : bp_.checkpoint.config().json(), form);
  }

  std::string title() const {
    const std::string hub = hub_name(options_.model);
    return hub.empty() ? fs::weakly_canonical(fs::absolute(options_.model)).filename().string()
                       : hub.substr(hub.find('/') + 1);
  }

  void write_texts() {
    const CarriedFiles files = find_carried_files(options_.model, sentence_);
    bp_.carried = files.carried;
    if (!sentence_.transformer.empty()) bp_.texts[kModules] = modules_text();
    if (!files.left_behind.empty()) {
      std::vector<std::string> names;
      for (const fs::path& path : files.left_behind) names.push_back(path.string());
      note(fmt::format("not carried over: {}", listed(names, kListed)));
    }
    bp_.texts["config.json"] = config_text();
    bp_.texts[kIndex] = index_text();
    const CardFacts facts{.title = title(),
                          .base_model = hub_name(options_.model),
                          .front_matter = kept_front_matter(options_.model / "README.md"),
                          .model_type = model_.model_type,
                          .layout = options_.layout,
                          .mode = options_.scheme.mode,
                          .sentence_model = sentence_.declared,
                          .token_classifier = model_.token_classifier && !form_,
                          .classifier = model_.classifier && !form_};
    bp_.texts["README.md"] = model_card(facts, plan());

    bp_.source_files = {(sentence_.transformer / "config.json").generic_string()};
    for (const CheckpointFile& file : bp_.checkpoint.files())
      bp_.source_files.push_back((sentence_.transformer / file.path.filename()).generic_string());
    for (const CarriedFile& file : bp_.carried) bp_.source_files.push_back(file.from.generic_string());
  }

  void finish() {
    std::string text = fmt::format("mlx-encoder {}\n", kVersion);
    for (size_t i = 0; i < bp_.work.size(); ++i) {
      const PlannedTensor& tensor = plan().tensors[i];
      text += fmt::format("{} {} {}", json_quoted(tensor.source), static_cast<int>(bp_.work[i].origin),
                          to_string(tensor.scheme));
      for (const TensorSpec& spec : bp_.work[i].specs)
        text += fmt::format(" {} {} {}", json_quoted(spec.name), name(spec.dtype), to_string(spec.shape));
      text += "\n";
    }
    for (const auto& [file, bytes] : plan().files) text += fmt::format("{} {}\n", file, bytes);
    text += bp_.texts["config.json"];
    if (options_.calibration) text += calibration_text(calibrate::resolved(*options_.calibration));
    bp_.digest = sha256_hex(std::as_bytes(std::span(text)));

    uint64_t total = plan().predicted_bytes;
    for (const auto& [file, content] : bp_.texts) total += content.size();
    Provenance provenance{.plan = bp_.digest, .source = {}, .output = {}};
    const std::string hash(64, '0');
    for (const std::string& file : bp_.source_files)
      provenance.source[file] = {fs::file_size(options_.model / file), hash};
    for (const auto& [file, bytes] : plan().files) provenance.output[file] = {bytes, hash};
    for (const char* file : {"config.json", kIndex}) provenance.output[file] = {bp_.texts[file].size(), hash};
    for (const CarriedFile& file : bp_.carried) {
      const uint64_t bytes = fs::file_size(options_.model / file.from);
      provenance.output[file.to.generic_string()] = {bytes, hash};
      total += bytes;
    }
    plan().folder_bytes = total + provenance.text().size();

    std::vector<std::string> once;
    for (std::string& warning : warnings_)
      if (std::ranges::find(once, warning) == once.end()) once.push_back(std::move(warning));
    plan().warnings = std::move(once);
    if (options_.strict && !plan().warnings.empty())
      throw Error(ErrorCode::strict,
                  fmt::format("{} (errors under --strict)", fmt::join(plan().warnings, "\n")));
    if (options_.warning)
      for (const std::string& warning : plan().warnings) options_.warning(warning);
  }

  // All of a calibration that decides the output.
  static std::string calibration_text(const Calibration& calibration) {
    Sha256 hash;
    const auto add = [&](const std::string& text) {  // its length first, so that no two lists hash alike
      const uint64_t size = text.size();
      hash.update(std::as_bytes(std::span(&size, 1)));
      hash.update(std::as_bytes(std::span(text)));
    };
    for (const TextInput& text : calibration.texts) {
      add(text.text);
      add(text.pair ? "pair" : "");
      if (text.pair) add(*text.pair);
    }
    return fmt::format("calibration {} {} {}{}\n", name(calibration.method), calibration.limit,
                       hash.finish_hex(),
                       calibration.built_in == BuiltInText::mixed_in ? " and the built-in text" : "");
  }

  static std::string json_quoted(const std::string& text) { return nlohmann::json(text).dump(); }

  const ConvertOptions& options_;
  Purpose purpose_;
  Scheme global_;  // of config.json's "quantization"
  std::vector<std::string> warnings_;
  Policy policy_;
  Blueprint bp_;
  Model model_;
  std::optional<MlxEmbeddingsLayout> form_;
  SentenceModules sentence_;
  ParameterList claimed_;
  std::vector<std::string> problems_;
  std::vector<std::string> carried_over_, left_out_, requantized_, dequantized_, stray_, buffers_, renamed_;
  std::map<std::string, std::vector<std::string>> fallbacks_;  // by reason
  std::map<std::string, std::string> canonical_module_;        // by written name
  bool any_quantized_ = false;
  uint64_t payload_ = 0;
};

}  // namespace

std::vector<TensorSpec> Blueprint::specs(const Shard& shard) const {
  std::vector<TensorSpec> specs;
  for (size_t i = shard.first; i < shard.first + shard.count; ++i)
    specs.insert(specs.end(), work[i].specs.begin(), work[i].specs.end());
  return specs;
}

std::vector<std::string> Blueprint::output_files() const {
  std::vector<std::string> files{"config.json", kIndex};
  for (const Shard& shard : shards) files.push_back(shard.file);
  for (const CarriedFile& file : carried) files.push_back(file.to.generic_string());
  return files;
}

Blueprint make_blueprint(const ConvertOptions& options, Purpose purpose) {
  validate(options.scheme);
  const Mode mode = options.scheme.mode;
  if (options.layout == Layout::mlx_embeddings && (mode == Mode::int8 || mode == Mode::fake))
    throw Error(
        ErrorCode::usage,
        fmt::format("layout mlx-embeddings: found the scheme {}, which mlx-embeddings does not read; use "
                    "affine, mxfp4, mxfp8 or nvfp4, or --layout hf",
                    name(mode)));
  if (options.calibration && options.scheme.mode != Mode::affine)
    throw Error(
        ErrorCode::usage,
        fmt::format("calibration: found the scheme {}, expected affine; the others have no scales to choose: "
                    "leave the texts out, or quantize with mode affine",
                    to_string(options.scheme)));
  return Planner(options, purpose).run();
}

}  // namespace mlxe
