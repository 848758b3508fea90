// A sweep over models and schemes, the command `matrix`: every combination, a cell of one table, is
// converted, compared with its original, evaluated and recorded. A combination recorded earlier, from the
// same files with the same options, is not repeated.
//
//   const mlxe::Sweep sweep = mlxe::read_sweep("matrix.toml");
//   const mlxe::SweepResult result = mlxe::run_sweep(sweep);
//   std::puts(mlxe::to_markdown(result).c_str());
//
// docs/matrix.md describes the file and the folder this writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/allocate.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/evaluate.h"

namespace mlxe {

struct SweepModel {
  std::string name;
  std::filesystem::path path;   // the original; a name on the hub as it is written (hub.h finds the folder)
  std::filesystem::path texts;  // texts for the comparison; empty: the items of `data`
  std::optional<Task> task;     // also evaluate this task, on `data`
  std::filesystem::path data;   // items with gold answers
  TaskDataOptions reading;      // of `data`
  Tagging tagging = Tagging::lenient;
  std::filesystem::path calibration;  // texts for the schemes that calibrate on "model" or have a target
  int64_t limit = 0;                  // texts and items to use; 0: all
  int64_t max_length = 0;             // tokens; 0: what the model allows
  std::vector<GateSetting> gates;     // applied after the scheme's
  std::vector<std::string> skip;      // names of schemes to leave out for this model
};

struct SweepScheme {
  std::string name;
  Scheme scheme;
  // How bits are chosen for each matrix: a preset, a recipe, or a target (at most one of them). Without, all
  // matrices get scheme.bits. A target is solved for each model, on its calibration texts or, without
  // calibration, on SweepModel::calibration.
  std::string preset;
  std::filesystem::path recipe;
  std::optional<Target> target;
  std::string calibrate;  // empty, "default", "model" (each model's own texts) or a file of texts
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t calibrate_limit = 0;
  BuiltInText built_in = BuiltInText::mixed_in;  // beside those texts
  std::vector<std::string> keep, overrides;      // as in ConvertOptions
  Layout layout = Layout::hf;
  std::vector<GateSetting> gates;  // a gate does not apply to a model without its value (labels, a task)
};

enum class ConvertedFolders { keep, remove };  // what happens to a folder once its cell is measured

struct Sweep {
  std::filesystem::path file;    // for messages
  std::filesystem::path output;  // folder of results
  ConvertedFolders folders = ConvertedFolders::keep;
  std::vector<SweepModel> models;
  std::vector<SweepScheme> schemes;
};

// Errors: not_found, io, format (not TOML; an unknown key or a wrong type, with its line), usage (invalid
// values, duplicate names, an unknown scheme in `skip`, a gate that is not in docs/gates.md). `warning`:
// called for old names.
Sweep read_sweep(const std::filesystem::path& file, const Warning& warning = {});

enum class CellState {
  planned,   // not done yet
  measured,  // by this run
  recorded,  // by an earlier one, from the same files with the same options
  failed,    // see `message`
};
const char* name(CellState state) noexcept;

// One model in one scheme. A planned cell has only the sizes; a failed cell may lack the sizes, too.
struct SweepCell {
  std::string model, scheme;
  CellState state = CellState::planned;
  uint64_t original_bytes = 0, bytes = 0;  // of the weight files; `bytes` of a planned cell is predicted
  double bits_per_weight = 0;
  std::string tensor;                                     // what users see: "pooled_vector" or "logits"
  int64_t texts = 0;                                      // sequences compared
  double cosine_mean = 0, cosine_p1 = 0, cosine_min = 0;  // of that tensor
  std::optional<VectorSpace> vectors;                     // of sentence vectors
  std::string metric;  // the task's first: "spearman", "accuracy", "span_f1", "ndcg@10"; empty: no task
  double original = 0, value = 0;      // of `metric`
  std::optional<Interval> difference;  // of value - original
  std::optional<double> flips;         // fraction of items whose label changed
  std::vector<Gate> gates;
  std::vector<std::string> warnings;
  std::string engine, variant, machine, version, date;  // of the measurement
  std::optional<ErrorCode> error;
  std::string message;

  bool is_done() const { return state == CellState::measured || state == CellState::recorded; }
  bool passed() const;  // done, and every gate holds
};

struct SweepResult {
  std::vector<SweepCell> cells;  // model by model, in the file's order

  // The smallest of a model's cells that passed; of equally small ones, the one with the higher cosine.
  // nullptr: none passed.
  const SweepCell* recommended(const std::string& model) const;
  // The exit status. If a cell failed: that of the first failed cell's error. Else 3 if a gate failed. Else
  // 0.
  int status() const;
};

enum class OnCellError { go_on, stop };

struct SweepOptions {
  EngineKind engine = EngineKind::automatic;
  int threads = 0;      // 0: all cores
  bool strict = false;  // a warning makes its cell fail
  OnCellError on_error = OnCellError::go_on;
  std::string command;  // for the reports
  Warning warning;
  Progress progress;                               // stages "[2/12] minilm 4-bit: comparing"
  std::function<void(const SweepCell&)> finished;  // each cell in order, once
};

// Says what run_sweep would do, from headers and small files alone. Writes nothing.
SweepResult plan_sweep(const Sweep& sweep, const SweepOptions& options = {});

// Converts, compares and evaluates every cell. Writes under sweep.output:
//   models/MODEL/SCHEME/                     the converted folder
//   cells/MODEL/SCHEME.json                  the record: its inputs, and everything measured
//   cells/MODEL/SCHEME.html                  the report
//   matrix.md, matrix.json, matrix.svg       the table, written anew after each cell
// A record appears complete or not at all, as the last file of its cell: an interrupted run continues at
// the first cell without a record. A cell keeps its own error. Throws only: io (the results can't be
// written), and with OnCellError::stop a cell's error after it is recorded.
SweepResult run_sweep(const Sweep& sweep, const SweepOptions& options = {});

std::string to_json(const SweepResult& result);      // docs/json/matrix.md
std::string to_markdown(const SweepResult& result);  // the table, recommendations, what went wrong
std::string to_svg(const SweepResult& result);       // 1 - cosine against size, a line a model

}  // namespace mlxe
