// The small files that a conversion writes itself: config.json, the index of the weights, README.md, modules.json if
// the transformer had a folder of its own, and tokenizer.json if the tokenizer was built from vocabulary files.
#pragma once

#include <map>
#include <string>

#include "convert/conversion_source.h"
#include "convert/model_card.h"
#include "convert/weight_jobs.h"

namespace mlxe {

inline constexpr const char* kTokenizerFile = "tokenizer.json";

inline constexpr const char* kIndexFile = "model.safetensors.index.json";

struct FolderTextFacts {
  const ConversionSource& source;
  const ConvertOptions& options;
  const ConversionPlan& plan;
  const WeightJobs& weights;
  const std::map<std::string, std::string>& canonical_modules;  // as TensorPlan's
  Scheme global;                                                // of config.json's "quantization"
  bool any_quantized = false;                                   // some matrix is stored quantized
};

// What the model card says of the source: title, base model, front matter; and of the options.
CardFacts card_facts(const ConvertOptions& options);

// By file name.
std::map<std::string, std::string> folder_texts(const FolderTextFacts& facts);

}  // namespace mlxe
