// The outputs of a model to compare, and their gold values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compare/sides.h"
#include "models/model.h"

namespace mlxe {

// Shared by all runs that are compared with the original.
struct OutputTask {
  bool classifier = false;  // logits, else sentence vectors
  bool by_token = false;    // a row of logits per token
  ProblemType problem = ProblemType::single_label;
  std::vector<std::string> labels;
  std::vector<int64_t> gold;   // indices of labels, one a text, or empty
  std::vector<double> scores;  // gold similarity or value, one a text, or empty
  int64_t sequences = 0, tokens = 0, hidden_size = 0;
  std::vector<size_t> different;  // sequences of different texts; empty of a classifier

  int64_t output_rows() const { return by_token ? tokens : sequences; }

  bool has_probabilities() const { return classifier && problem != ProblemType::regression; }
  const char* output() const { return classifier ? "logits" : "pooled_vector"; }
  // The first sample of Drift.
  const char* sample() const { return has_probabilities() ? "confidences" : "similarities"; }
  // The tensor whose worst texts are listed.
  const char* listed() const { return has_probabilities() ? "probabilities" : output(); }
};

// Makes a task without sequences, which are known after the texts are tokenized. Warns of gold values that can't be used
// with this model. Errors: usage (not one gold value for each text), format (a gold label that the model does not have).
OutputTask output_task(const Sides& sides, const CompareInput& input, const Warning& warn);

}  // namespace mlxe
