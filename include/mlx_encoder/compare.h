// What a conversion cost: real forward passes on the original and on the converted folder, and their
// differences.
//
//   mlxe::Comparison c = mlxe::compare("all-MiniLM-L6-v2", "all-MiniLM-L6-v2-4bit", {.texts = texts});
//   std::puts(mlxe::to_markdown(c).c_str());
//
// Both sides run with float32 activations, so that only the stored weights differ. The error of a faster run
// mode is reported separately (RunMode); gates ignore it. Sums are float64.
//
// Memory: for each text its token ids and a few numbers, and the sentence vectors of at most 4,096 texts.
// Activations live for one batch.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/difference.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/gate.h"
#include "mlx_encoder/measurement.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct ComparedModel {
  std::string folder, model_type;
  std::string engine, variant;
  std::vector<std::string> notes;  // the engine's messages for the user
  StoredSize size;
  EngineChecks checks;
  // Empty after compare(): measuring needs a process of its own for each model. `mlx-encoder compare`
  // starts it.
  std::optional<Measurement> measured;
};

struct WorstText {
  std::string text;
  std::optional<std::string> pair;
  int64_t tokens = 0;
  double cosine = 0;
};

// The quantized side again, with the activations users run it with. Shows the error that these activations
// add to the error of the stored weights.
struct RunMode {
  std::string activations, variant;      // "int8", "avx512_vnni, 2 threads"
  std::vector<NamedDifference> tensors;  // original against this run, as Comparison::tensors
  std::optional<VectorSpace> vectors;
  std::optional<LabelDifference> labels;
  std::vector<TaskScore> task;
};

struct Comparison {
  ComparedModel original, quantized;
  int64_t texts = 0, tokens = 0;         // sequences run (in an embedding model a pair is two), their tokens
  std::vector<NamedDifference> layers;   // "embeddings", "layer 1", ...: token vectors
  std::vector<NamedDifference> tensors;  // last_hidden_state; then pooled_vector, or logits and probabilities
  std::string output;                    // the tensor users see: "pooled_vector" or "logits"
  std::string listed;  // tensor of text_cosines and worst: "pooled_vector", "probabilities" or "logits"
  std::optional<VectorSpace> vectors;  // of sentence vectors, if there are at least three different texts
  std::vector<Drift> drift;            // similarities or confidences, then values
  std::vector<double> text_cosines;    // one a sequence run
  std::vector<WorstText> worst;        // lowest cosine first, each text once
  std::optional<LabelDifference> labels;
  std::vector<TaskScore> task;
  std::optional<RunMode> run_mode;  // empty if activations are float32
  double bits = 0;                  // mean bits of quantized values; default limits follow (docs/gates.md)
  std::vector<Gate> gates;
  std::vector<std::string> unmeasured;  // gates of a file that belong to other commands or were not measured
  std::vector<std::string> warnings;
  std::string pareto_chart;  // SVG of a folder converted to a target: size against cost, with the choice
  std::string command, machine, version, date;  // the caller sets `command`

  const Difference& tensor(std::string_view name) const;  // throws internal if it is not there
  bool passed() const;                                    // every gate
  std::string verdict() const;                            // one line
};

struct CompareInput {
  std::vector<TextInput> texts;
  std::vector<std::string> labels;  // gold, one a text (a label's name or its number), or empty
  std::vector<double> scores;       // gold similarity or regression value, one a text, or empty
};

struct CompareOptions {
  EngineKind engine = EngineKind::automatic;
  Activations run_mode = Activations::automatic;  // also measured (RunMode), unless it is float32
  int threads = 0;                                // of the cpu engine; 0: all cores
  int64_t max_length = 0;                         // tokens; 0: what the model allows
  bool allow_unknown = false;                     // EncoderOptions::allow_unknown, of both models
  GateLimits limits;
  std::vector<GateSetting> gates;  // applied after `limits`
  Warning warning;
  Progress progress;
};

// Errors: those of Encoder::load for either folder; usage (no texts, a gate on a tensor the model lacks),
// unsupported (folders of different models), format (their tokenizers disagree; names the text), numeric.
Comparison compare(const std::filesystem::path& original, const std::filesystem::path& quantized,
                   const CompareInput& input, const CompareOptions& options = {});

std::string to_json(const Comparison& comparison);      // docs/json/compare.md
std::string to_markdown(const Comparison& comparison);  // the report without pictures
std::string to_card(const Comparison& comparison);      // the section of a model card, Markdown
std::string to_html(const Comparison& comparison);      // one self-contained file

}  // namespace mlxe
