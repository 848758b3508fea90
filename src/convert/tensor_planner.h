// Decides for each tensor of a source whether it is written, and in which scheme.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convert/conversion_source.h"
#include "convert/plan_remarks.h"
#include "format/safetensors.h"
#include "mlx_encoder/convert.h"
#include "quant/policy.h"

namespace mlxe {

// The origin of one tensor of the output.
struct TensorJob {
  enum class Origin {
    stored,    // from `source`, converted to the planned scheme
    zeros,     // synthesized
    identity,  // synthesized, square
  };
  Origin origin = Origin::stored;
  StoredWeight source;                 // points into ConversionSource::checkpoint
  std::vector<TensorSpec> components;  // codes, scales and biases, if the scheme has them
};

struct TensorPlan {
  std::vector<PlannedTensor> tensors;
  std::vector<TensorJob> jobs;                               // one for each of `tensors`
  std::vector<std::pair<std::string, std::string>> dropped;  // as ConversionPlan::dropped
  // Pairs of tied tensors that the source stores twice. Only the first is written. Compared when weights are read.
  std::vector<std::pair<StoredWeight, StoredWeight>> tied;
  std::map<std::string, std::string> canonical_modules;  // of model tensors, by written name
  PlanRemarks remarks;
};

// Reads only the scheme of the options. `policy` decides the scheme of each tensor of the model. Errors: format (all
// missing or misshapen tensors in one message).
TensorPlan plan_tensors(const ConversionSource& source, const ConvertOptions& options, Policy& policy);

// The key of a matrix in config.json's "quantization": its module ("encoder.layer.0.output.dense"), or the tensor's
// name if it is not the weight of a module.
std::string module_or_tensor(const std::string& tensor);

}  // namespace mlxe
