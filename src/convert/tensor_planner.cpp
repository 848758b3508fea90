#include "convert/tensor_planner.h"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

#include "base/wording.h"
#include "convert/weight_components.h"
#include "mlx_encoder/error.h"
#include "models/tied_tensors.h"
#include "models/unknown_tensors.h"

namespace mlxe {
namespace {

// The name a tensor is written under: the source's, without a wrapper's prefix and with today's endings.
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
    case Role::convolution:
      return "convolution";
    case Role::classifier:
      return "classifier";
    case Role::norm:
      return "norm";
    case Role::bias:
      return "bias";
  }
  return "";
}

class TensorPlanner {
 public:
  TensorPlanner(const ConversionSource& source, const Scheme& scheme, Policy& policy)
      : source_(source), checkpoint_(source.checkpoint), scheme_(scheme), policy_(policy) {
    for (std::string& name : unknown_tensors(checkpoint_, source.model)) unknown_.insert(std::move(name));
  }

  TensorPlan run() {
    std::set<std::string, std::less<>> claimed;
    for (const Parameter& spec : source_.model.parameters()) {
      claimed.insert(spec.name);
      plan_parameter(spec);
    }
    if (!problems_.empty())
      throw Error(ErrorCode::format,
                  fmt::format("{}: {}", source_.folder(), listed(problems_, kListedNames, "; ")));
    if (source_.mlx_embeddings)
      for (const SynthesizedTensor& tensor : source_.mlx_embeddings->synthesized()) plan_synthesized(tensor);
    for (const CheckpointTensor& tensor : checkpoint_.tensors())
      if (!claimed.contains(tensor.name)) plan_unread(tensor);
    return std::move(plan_);
  }

 private:
  // Float tensors are written in the requested dtype. The fake baseline leaves their dtype unchanged.
  Dtype float_dtype(Dtype source) const {
    if (scheme_.mode != Mode::fake) return scheme_.dtype;
    return source == Dtype::f64 ? Dtype::f32 : source;
  }

  // The source's tensor for the parameter; null after a problem was recorded.
  const CheckpointTensor* find(const Parameter& spec, StoredWeight& stored) {
    const CheckpointTensor* tensor = checkpoint_.find(spec.name);
    if (!tensor) {
      problems_.push_back(spec.name + " is missing");
      return nullptr;
    }
    try {
      stored = checkpoint_.stored(spec.name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::format) throw;
      problems_.emplace_back(error.what());
      return nullptr;
    }
    if (stored.shape != spec.shape) {
      problems_.push_back(fmt::format("{} is {}, config.json implies {}", spec.name, to_string(stored.shape),
                                      to_string(spec.shape)));
      return nullptr;
    }
    if (stored.scheme.mode == Mode::none && !is_float(stored.dtype)) {
      problems_.push_back(
          fmt::format("{} is {}, expected F64, F32, F16 or BF16", spec.name, name(stored.dtype)));
      return nullptr;
    }
    return tensor;
  }

  void plan_parameter(const Parameter& spec) {
    StoredWeight stored;
    const CheckpointTensor* tensor = find(spec, stored);
    if (!tensor) return;
    std::string written = written_name(*tensor, checkpoint_.foreign_prefix());
    if (source_.mlx_embeddings) {
      const std::optional<std::string> theirs = source_.mlx_embeddings->name(spec.name);
      if (!theirs) return leave_out(*tensor);
      written = *theirs;
    } else if (!tensor->original.ends_with(written)) {
      plan_.remarks.renamed.push_back(tensor->original);
    }
    const PolicyDecision decision = policy_.decide(spec.name, spec.shape, spec.role);
    Scheme scheme = decision.scheme;
    if (scheme.mode == Mode::none) scheme.dtype = float_dtype(stored.dtype);
    if (stored.scheme.mode != Mode::none) {
      if (scheme.mode == Mode::none)
        plan_.remarks.dequantized.push_back(tensor->original);
      else if (!same_form(stored.scheme, scheme))
        plan_.remarks.requantized.push_back(tensor->original);
    }
    if (decision.fallback) plan_.remarks.fallbacks[decision.reason].push_back(spec.name);
    add({.name = written,
         .source = tensor->original,
         .shape = stored.shape,
         .role = role_name(spec.role),
         .scheme = scheme,
         .reason = decision.reason},
        TensorJob::Origin::stored, stored);
    plan_.canonical_modules[written] = module_or_tensor(spec.name);
  }

  void plan_synthesized(const SynthesizedTensor& tensor) {
    const bool zeros = tensor.fill == SynthesizedTensor::Fill::zeros;
    add({.name = tensor.name,
         .source = {},
         .shape = tensor.shape,
         .role = role_name(tensor.role),
         .scheme = {.dtype = float_dtype(Dtype::f32)},
         .reason = fmt::format("synthesized ({}): {}", zeros ? "zeros" : "identity", tensor.why)},
        zeros ? TensorJob::Origin::zeros : TensorJob::Origin::identity, {});
    plan_.remarks.notes.push_back(
        fmt::format("{}: written as {}; {}", tensor.name, zeros ? "zeros" : "the identity", tensor.why));
  }

  // Plans a tensor that the model does not read.
  void plan_unread(const CheckpointTensor& tensor) {
    if (tensor.role == TensorRole::buffer) {
      drop(tensor, "a constant every loader makes itself");
      plan_.remarks.buffers.push_back(tensor.original);
      return;
    }
    if (tensor.role == TensorRole::stray_component) {
      drop(tensor, "nothing reads it: the weight beside it is stored as floats");
      plan_.remarks.stray.push_back(tensor.original);
      return;
    }
    if (tensor.role == TensorRole::component) return;  // written with its owner
    if (const CheckpointTensor* original = tied_to(checkpoint_, tensor)) {
      drop(tensor, "the same tensor as " + original->original);
      plan_.tied.emplace_back(checkpoint_.stored(original->name), checkpoint_.stored(tensor.name));
      plan_.remarks.notes.push_back(
          fmt::format("{}: tied to {}, stored once", tensor.original, original->original));
      return;
    }
    if (unknown_.contains(tensor.original)) {
      drop(tensor, "not part of the architecture");
      plan_.remarks.unknown.push_back(tensor.original);
      return;
    }
    if (source_.mlx_embeddings) return leave_out(tensor);
    const StoredWeight stored = checkpoint_.stored(tensor.name);
    Scheme scheme{.dtype = stored.dtype};
    if (stored.scheme.mode != Mode::none || is_float(stored.dtype)) scheme.dtype = float_dtype(stored.dtype);
    plan_.remarks.carried_over.push_back(tensor.original);
    add({.name = written_name(tensor, checkpoint_.foreign_prefix()),
         .source = tensor.original,
         .shape = stored.shape,
         .role = "unused",
         .scheme = scheme,
         .reason = scheme_.mode == Mode::none ? "" : "not part of the model this version runs"},
        TensorJob::Origin::stored, stored);
  }

  void leave_out(const CheckpointTensor& tensor) {
    drop(tensor, "mlx-embeddings has no place for it");
    plan_.remarks.left_out.push_back(tensor.original);
  }

  void drop(const CheckpointTensor& tensor, std::string why) {
    plan_.dropped.emplace_back(tensor.original, std::move(why));
  }

  void add(PlannedTensor tensor, TensorJob::Origin origin, const StoredWeight& source) {
    TensorJob job{origin, source, weight_components(tensor.name, tensor.shape, tensor.scheme)};
    for (const TensorSpec& component : job.components) tensor.bytes += component.bytes();
    plan_.tensors.push_back(std::move(tensor));
    plan_.jobs.push_back(std::move(job));
  }

  const ConversionSource& source_;
  const Checkpoint& checkpoint_;
  const Scheme scheme_;
  Policy& policy_;
  std::set<std::string> unknown_;  // names as in the files; ConvertOptions::allow_unknown
  TensorPlan plan_;
  std::vector<std::string> problems_;
};

}  // namespace

TensorPlan plan_tensors(const ConversionSource& source, const ConvertOptions& options, Policy& policy) {
  return TensorPlanner(source, options.scheme, policy).run();
}

std::string module_or_tensor(const std::string& tensor) {
  const std::string module(module_of(tensor));
  return module.empty() ? tensor : module;
}

}  // namespace mlxe
