// A sweep over models and schemes, the command `matrix`: every combination, a cell of one table, is
// converted, compared with its original, evaluated and recorded. What was done before, from the same files
// with the same options, is not done again.
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
  std::filesystem::path path;   // the original
  std::filesystem::path texts;  // what both sides are compared on; empty: the items of `data`
  std::optional<Task> task;     // evaluated too, on `data`
  std::filesystem::path data;   // items with gold answers
  TaskDataOptions reading;      // of `data`
  Tagging tagging = Tagging::lenient;
  std::filesystem::path calibration;  // texts for the schemes that calibrate on "model" or have a target
  int64_t limit = 0;                  // texts and items to use; 0: all
  int64_t max_length = 0;             // tokens; 0: what the model allows
  std::vector<GateSetting> gates;     // applied after the scheme's
  std::vector<std::string> skip;      // names of schemes not wanted of this model
};

struct SweepScheme {
  std::string name;
  Scheme scheme;
  // How bits are chosen matrix by matrix: a preset, a recipe, or a target solved anew for each model on the
  // texts it calibrates on, else its `calibration`. At most one; without, all get scheme.bits.
  std::string preset;
  std::filesystem::path recipe;
  std::optional<Target> target;
  std::string calibrate;  // empty, "default", "model" (each model's own texts) or a file of texts
  CalibrationMethod method = CalibrationMethod::automatic;
  size_t calibrate_limit = 0;
  BuiltInText built_in = BuiltInText::mixed_in;  // beside those texts
  std::vector<std::string> keep, overrides;      // as in ConvertOptions
  Layout layout = Layout::hf;
  std::vector<GateSetting> gates;  // those of something a model has not (labels, a task) don't apply to it
};

enum class ConvertedFolders { keep, remove };  // once their cell is measured

struct Sweep {
  std::filesystem::path file;    // for messages
  std::filesystem::path output;  // folder of results
  ConvertedFolders folders = ConvertedFolders::keep;
  std::vector<SweepModel> models;
  std::vector<SweepScheme> schemes;
};

// Errors: not_found, io, format (no TOML; an unknown key or a wrong type, named by line), usage (values that
// make no sense, two of one name, a scheme to skip that is not there, a gate that is none of docs/gates.md).
// `warning` hears of old spellings.
Sweep read_sweep(const std::filesystem::path& file, const Warning& warning = {});

enum class CellState {
  planned,   // not done yet
  measured,  // by this run
  recorded,  // by an earlier one, from the same files with the same options
  failed,    // see `message`
};
const char* name(CellState state) noexcept;

// One model in one scheme. Of a planned cell only the sizes are known, of a failed one maybe not those.
struct SweepCell {
  std::string model, scheme;
  CellState state = CellState::planned;
  uint64_t original_bytes = 0, bytes = 0;  // of the weight files; predicted where planned
  double bits_per_weight = 0;
  std::string tensor;                                     // what users see: "pooled_vector" or "logits"
  int64_t texts = 0;                                      // sequences compared
  double cosine_mean = 0, cosine_p1 = 0, cosine_min = 0;  // of that tensor
  std::optional<VectorSpace> vectors;                     // of sentence vectors
  std::string metric;  // the task's first: "spearman", "accuracy", "span_f1", "ndcg@10"; empty without one
  double original = 0, value = 0;      // of it
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

  // The smallest of a model's cells that passed; of equal ones that of the higher cosine. nullptr: none.
  const SweepCell* recommended(const std::string& model) const;
  // 0: every cell is done and passed (or planned); that of the first failed cell's error; else 3, a gate
  // failed.
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

// What would be done, from headers and small files alone; nothing is written.
SweepResult plan_sweep(const Sweep& sweep, const SweepOptions& options = {});

// Does it. Writes under sweep.output: models/MODEL/SCHEME (converted folders), cells/MODEL/SCHEME.json (a
// record: what it was made from, and everything measured) and .html, and the table as matrix.md, matrix.json
// and matrix.svg, anew after each cell. A record appears complete or not at all, after all else of its cell,
// so an interrupted run goes on where it stopped. An error of a cell is kept in it; thrown are only: io (the
// results can't be written), and under OnCellError::stop a cell's error once it is recorded.
SweepResult run_sweep(const Sweep& sweep, const SweepOptions& options = {});

std::string to_json(const SweepResult& result);      // docs/json/matrix.md
std::string to_markdown(const SweepResult& result);  // the table, recommendations, what went wrong
std::string to_svg(const SweepResult& result);       // 1 - cosine against size, a line a model

}  // namespace mlxe
