// Whether a model folder still computes what it computed when it was made, and by which settings it computes.
// docs/verify.md.
//
//   const mlxe::VerifyReport report = mlxe::verify("minilm-8bit");
//   if (report.verdict == mlxe::Verdict::failed) ...  // report.failures has a sentence for each fault
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/engine.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct VerifyOptions {
  EngineKind engine = EngineKind::automatic;  // its activations are float32
  int threads = 0;                            // 0: all cores
  std::filesystem::path against;              // a golden file; empty: the folder's own
  // Where to write what the folder gives for the golden's texts; without a golden, for the texts of this
  // library. Empty: nowhere.
  std::filesystem::path save_golden;
  Warning warning;
};

// A setting that results depend on.
struct SettingInForce {
  std::string name, value;  // "pooling", "mean"
  std::string from;         // "1_Pooling/config.json"
};

// A file that mlx_encoder.json records, or that a run reads and it does not record.
struct CheckedFile {
  std::string name;
  std::string problem;  // empty if the file is as recorded
};

// A text of the golden.
struct CheckedText {
  std::string text;
  std::optional<std::string> pair;
  std::string prompt_name;
  // Of what the folder gives to what the golden has. The difference is the largest one, relative to the
  // largest value of the golden.
  double difference = 0, cosine = 1;
  // To what the original gave. `recorded`: when the model was converted.
  std::optional<double> cosine_to_original, recorded_cosine;
  std::string problem;  // empty if the text passed
};

enum class Verdict {
  passed,    // everything that can be checked is as it was
  failed,    // see `failures`
  unproved,  // there was nothing to compare with
};
const char* name(Verdict verdict) noexcept;  // "passed", ...

struct VerifyReport {
  Verdict verdict = Verdict::unproved;
  std::vector<std::string> failures;  // one sentence each
  std::string model_type, engine, engine_variant;
  std::vector<SettingInForce> settings;
  // The keys of config.json: those that decide something, those that cannot change a result, the others.
  std::vector<std::string> used_keys, harmless_keys, ignored_keys;
  bool recorded = false;  // there is an mlx_encoder.json
  std::vector<CheckedFile> files;
  std::string golden, golden_made_by;  // the file; empty without one
  std::string output;                  // what is compared: "sentence", "logits", "token_scores"
  std::optional<double> difference_limit, cosine_limit;  // of each text
  std::optional<double> mean_cosine_limit;               // of all texts: it follows from the bits stored
  double mean_cosine = 0;
  std::vector<CheckedText> texts;
};

// Reads every file of the folder. Errors: not_found; io; format (`against` is no golden); without a record and
// a golden also those of Encoder::load. With one of them, a folder that does not load has failed.
VerifyReport verify(const std::filesystem::path& folder, const VerifyOptions& options = {});

}  // namespace mlxe
