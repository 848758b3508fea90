// What becomes of each tensor of a source: written in which scheme and from what, or dropped.
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

// How one tensor of the output comes about.
struct TensorJob {
  enum class Origin {
    stored,    // from `source`, converted to the planned scheme
    zeros,     // synthesized
    identity,  // synthesized, square
  };
  Origin origin = Origin::stored;
  StoredWeight source;                 // points into ConversionSource::checkpoint
  std::vector<TensorSpec> components;  // codes, scales, biases as far as the scheme has them
};

struct TensorPlan {
  std::vector<PlannedTensor> tensors;
  std::vector<TensorJob> jobs;                               // beside `tensors`
  std::vector<std::pair<std::string, std::string>> dropped;  // as ConversionPlan::dropped
  // Two tensors the source ties but stores both; only the first is written. Compared when weights are read.
  std::vector<std::pair<StoredWeight, StoredWeight>> tied;
  std::map<std::string, std::string> canonical_modules;  // of model tensors, by written name
  PlanRemarks remarks;
};

// Of options: scheme. `policy` decides it for the model's tensors. Errors: format (all missing or misshapen
// tensors in one message).
TensorPlan plan_tensors(const ConversionSource& source, const ConvertOptions& options, Policy& policy);

// "encoder.layer.0.output.dense": what "quantization" in config.json calls a matrix, its module, or the
// tensor where that is no module's weight.
std::string module_or_tensor(const std::string& tensor);

}  // namespace mlxe
