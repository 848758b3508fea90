// What a conversion cost: real forward passes on the original and on the converted folder, and their
// differences.
//
//   mlxe::Comparison c = mlxe::compare("all-MiniLM-L6-v2", "all-MiniLM-L6-v2-4bit", {.texts = texts});
//   std::puts(mlxe::to_markdown(c).c_str());
//
// Both sides run with float32 activations, so that only the stored weights differ. Sums are float64. Memory
// does not grow with the texts beyond their token ids and a few numbers a text: activations live for one
// batch.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// How far the rows of one matrix are from those of the original's, over every row compared.
struct Difference {
  int64_t rows = 0, columns = 0;
  struct {
    double mean = 1, p1 = 1, min = 1;  // p1: 1st percentile, interpolated as numpy.percentile does
    int64_t worst = 0;                 // the text `min` was found in
  } cosine;                 // a row of zeros against one of zeros counts as 1, against another as 0
  double mse = 0;           // mean over all elements of (original - quantized)^2
  double max_abs = 0;       // largest |original - quantized|
  double relative_max = 0;  // max_abs / largest |original|
};

struct NamedDifference {
  std::string name;
  Difference difference;
};

// A text whose predicted label changed.
struct Flip {
  int64_t text = 0;  // index into CompareInput::texts
  std::string original, quantized;
  double margin = 0;  // the original's, see LabelDifference
};

// Of a classifier. The margin of a text is what the original's decision stands on: best minus second-best
// probability; with one probability a label (multi-label) the smallest distance of any from 0.5, doubled.
struct LabelDifference {
  double kl = 0;  // mean over texts of KL(original || quantized), nats; summed over labels when multi-label
  int64_t texts = 0, flips = 0;
  double margin_original = 0, margin_quantized = 0, margin_flipped = 0;  // means
  std::vector<Flip> listed;                                              // those of the largest margin first
};

// A task metric against the gold labels or scores given: "accuracy", "macro_f1", "spearman", "pearson".
struct TaskScore {
  std::string metric;
  double original = 0, quantized = 0;
};

// One limit that was applied. Cosines pass at or above it, everything else at or below it; NaN never passes.
struct Gate {
  std::string tensor, metric;  // "pooled_vector", "cosine"
  double limit = 0, value = 0;
  bool passed = false;
  std::string name() const { return tensor + "." + metric; }
};

// The limits of the default gates. Without a cosine it follows from the bits stored, see docs/gates.md.
struct GateLimits {
  std::optional<double> cosine;
  double mse = 1e-4;
  double max_abs = 0.1;
};

// Adds a gate, moves the limit of one, or (no limit) removes it. The names are in docs/gates.md.
struct GateSetting {
  std::string tensor, metric;
  std::optional<double> limit;
};
GateSetting parse_gate(
    std::string_view text);  // "pooled_vector.cosine=0.99", "probabilities.mse=off"; throws usage

// What one side stores.
struct StoredSize {
  uint64_t weight_bytes = 0;              // the safetensors files
  uint64_t folder_bytes = 0;              // every file of the folder
  int64_t parameters = 0;                 // logical values: a packed [O, I] matrix counts O * I
  double bits_per_weight = 0;             // 8 * (bytes of the tensors) / parameters
  std::string scheme;                     // of most parameters: "affine 4-bit g64 float16"
  std::map<std::string, uint64_t> parts;  // "word embeddings", "attention", ... -> bytes
};

// Two properties every engine should have, tried on some of the texts.
struct EngineChecks {
  int64_t texts = 0;
  double repeat_difference = 0;  // largest difference between two runs of one batch; 0: the same bits
  double batch_difference = 0;   // of a text alone against among others, relative to the largest value
  double batch_tolerance = 0;    // what the engine promises: 0 on cpu; mlx pads, and so sums in another order
};

// Time and memory of one model, measured in a process that does nothing else.
struct Measurement {
  std::string engine, variant;
  int threads = 0;
  uint64_t loaded_bytes = 0,
           peak_bytes = 0;  // resident, after the first vector and at the highest; mapped files count
  struct {
    double median = 0, min = 0,
           max = 0;  // ms from the start of the process to the first vector, files in cache
    int repeats = 0;
  } cold_start;
  struct {
    double p50 = 0, p95 = 0, p99 = 0;   // ms for one text, over all samples
    double pass_min = 0, pass_max = 0;  // the lowest and highest p50 of a pass: how steady the machine was
    int64_t texts = 0;
    int warm_up = 0, passes = 0;  // each goes over all texts once
  } latency;
  struct {
    double texts_per_second = 0, tokens_per_second = 0;  // median pass
    double min = 0, max = 0;                             // texts per second of the slowest and fastest pass
    int64_t texts = 0;
    int passes = 0;
  } throughput;
};

struct ComparedModel {
  std::string folder, model_type;
  std::string engine, variant;
  std::vector<std::string> notes;  // what the engine says a user should hear
  StoredSize size;
  EngineChecks checks;
  std::optional<Measurement> measured;  // compare() leaves it empty; see measure()
};

struct WorstText {
  std::string text;
  std::optional<std::string> pair;
  int64_t tokens = 0;
  double cosine = 0;
};

struct Comparison {
  ComparedModel original, quantized;
  int64_t texts = 0, tokens = 0;         // sequences run; of an embedding model a pair is two
  std::vector<NamedDifference> layers;   // "embeddings", "layer 1", ...: token vectors
  std::vector<NamedDifference> tensors;  // last_hidden_state; then pooled_vector, or logits and probabilities
  std::string output;                    // the tensor users see: "pooled_vector" or "logits"
  std::string listed;  // the tensor of the next two: "pooled_vector", "probabilities" or "logits"
  std::vector<double> text_cosines;  // one a sequence run
  std::vector<WorstText> worst;      // lowest cosine first, each text once
  std::optional<LabelDifference> labels;
  std::vector<TaskScore> task;
  double bits = 0;  // what the default cosine limit was derived from, see docs/gates.md
  std::vector<Gate> gates;
  std::vector<std::string> warnings;
  std::string command, machine, version, date;

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
  int threads = 0;         // of the cpu engine; 0: all cores
  int64_t max_length = 0;  // tokens; 0: what the model allows
  GateLimits limits;
  std::vector<GateSetting> gates;  // applied after `limits`
  Warning warning;
  Progress progress;
};

// Errors: those of Encoder::load for either folder; usage (no texts, a gate on a tensor the model has not),
// unsupported (folders of different models), format (their tokenizers disagree; names the text), numeric.
Comparison compare(const std::filesystem::path& original, const std::filesystem::path& quantized,
                   const CompareInput& input, const CompareOptions& options = {});

std::string to_json(const Comparison& comparison);      // docs/json/compare.md
std::string to_markdown(const Comparison& comparison);  // the report without pictures
std::string to_html(const Comparison& comparison);      // one file, nothing fetched from anywhere

}  // namespace mlxe
