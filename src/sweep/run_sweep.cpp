#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/file_errors.h"
#include "base/file_lock.h"
#include "base/output_file.h"
#include "convert/model_card.h"
#include "evaluate/answers.h"
#include "format/folder_writer.h"
#include "format/linked_folders.h"
#include "mlx_encoder/matrix.h"
#include "sweep/cell_gates.h"
#include "sweep/cell_key.h"
#include "sweep/cell_record.h"
#include "sweep/model_items.h"
#include "texts/text_file.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

enum class Doing { planning, running };

// A file of texts, and what was said of it.
struct TextsRead {
  std::vector<TextInput> texts;
  std::vector<std::string> warnings;
};

// Every cell in turn, or the plan of it.
class Run {
 public:
  Run(const Sweep& sweep, const SweepOptions& options, Doing doing)
      : sweep_(sweep), options_(options), doing_(doing) {
    for (const SweepModel& model : sweep.models)
      for (const SweepScheme& scheme : sweep.schemes)
        if (std::ranges::find(model.skip, scheme.name) == model.skip.end())
          result_.cells.push_back({.model = model.name, .scheme = scheme.name});
  }

  SweepResult result() {
    size_t next = 0;
    for (const SweepModel& model : sweep_.models) {
      items_.reset();
      while (next < result_.cells.size() && result_.cells[next].model == model.name) {
        SweepCell& cell = result_.cells[next++];
        label_ = fmt::format("[{}/{}] {} {}", next, result_.cells.size(), cell.model, cell.scheme);
        take(cell, model, *std::ranges::find(sweep_.schemes, cell.scheme, &SweepScheme::name));
      }
    }
    return std::move(result_);
  }

 private:
  void take(SweepCell& cell, const SweepModel& model, const SweepScheme& scheme) {
    std::optional<Error> failure;
    try {
      with_file_errors([&] { make(cell, model, scheme); });
    } catch (const Error& e) {
      failure = e;
    } catch (const std::bad_alloc&) {
      failure = Error(ErrorCode::io, "out of memory");
    }
    if (failure) {
      cell.state = CellState::failed;
      cell.error = failure->code();
      cell.message = failure->what();
    }
    if (doing_ == Doing::running) write_table();
    if (options_.finished) options_.finished(cell);
    if (failure && options_.on_error == OnCellError::stop) throw *failure;
  }

  void make(SweepCell& cell, const SweepModel& model, const SweepScheme& scheme) {
    const ConvertOptions conversion = conversion_of(cell, model, scheme);
    const ConversionPlan plan = plan_conversion(conversion);
    cell.original_bytes = plan.source_bytes;
    if (!scheme.target) {  // of a target nothing is known before it is solved
      cell.bytes = plan.predicted_bytes;
      cell.bits_per_weight = plan.bits_per_weight;
    }
    const nlohmann::json key = cell_key(model, scheme, conversion, options_, hashes_);
    if (std::optional<SweepCell> known = read_record(record_of(cell, ".json"), key); known && is_kept(cell)) {
      cell = *std::move(known);
      return;
    }
    if (doing_ == Doing::running) measure(cell, model, scheme, conversion, key);
  }

  // A record without its folder is no done cell where folders are to be kept.
  bool is_kept(const SweepCell& cell) const {
    return sweep_.folders == ConvertedFolders::remove || fs::exists(folder_of(cell) / "config.json");
  }

  void measure(SweepCell& cell, const SweepModel& model, const SweepScheme& scheme, ConvertOptions conversion,
               const nlohmann::json& key) {
    if (!items_) items_ = read_items(model);
    repeat(items_->warnings, cell);
    conversion.warning = warning(cell);
    conversion.progress = progress();
    const fs::path folder = folder_of(cell);
    cell.bytes = converted(conversion, model, scheme, cell).bytes;

    Comparison c = compare(model.path, folder, items_->compared,
                           {.engine = options_.engine,
                            .run_mode = Activations::float32,
                            .threads = options_.threads,
                            .max_length = model.max_length,
                            .warning = warning(cell),
                            .progress = progress()});
    c.command = options_.command;
    std::optional<Evaluation> e;
    if (model.task)
      e = evaluate_beside(folder, model.path, items_->original_answers, *model.task, *items_->task,
                          {.engine = options_.engine,
                           .threads = options_.threads,
                           .max_length = model.max_length,
                           .tagging = model.tagging,
                           .warning = warning(cell),
                           .progress = progress()});
    c.gates = cell_gates(c, e, scheme, model);
    describe(cell, c, e);
    cell.state = CellState::measured;

    insert_measurements(folder, to_card(c));
    write_whole_file(record_of(cell, ".html"), with_shown_paths(to_html(c)));
    if (sweep_.folders == ConvertedFolders::remove) remove_converted(cell);
    Json record{{"record_version", kRecordVersion}, {"made_from", key}, {"cell", cell_json(cell)}};
    record["comparison"] = Json::parse(to_json(c));
    if (e) record["evaluation"] = Json::parse(to_json(*e, *items_->task));
    write_whole_file(record_of(cell, ".json"), with_shown_paths(text_of(record)));
  }

  // A folder that holds more than the model stays, which is told.
  void remove_converted(SweepCell& cell) {
    try {
      remove_model_folder(folder_of(cell));
    } catch (const Error& e) {
      if (e.code() != ErrorCode::usage) throw;
      warning(cell)(e.what());
    }
  }

  Conversion converted(const ConvertOptions& conversion, const SweepModel& model, const SweepScheme& scheme,
                       SweepCell& cell) {
    if (!scheme.target) return convert(conversion);
    std::vector<TextInput> texts;
    if (!conversion.calibration) texts = texts_of(model.calibration.string(), cell);
    return convert_to_target(conversion, *scheme.target, std::move(texts)).conversion;
  }

  static void describe(SweepCell& cell, const Comparison& c, const std::optional<Evaluation>& e) {
    cell.bits_per_weight = c.quantized.size.bits_per_weight;
    cell.tensor = c.output;
    cell.texts = c.texts;
    const auto& cosine = c.tensor(c.output).cosine;
    cell.cosine_mean = cosine.mean;
    cell.cosine_p1 = cosine.p1;
    cell.cosine_min = cosine.min;
    cell.vectors = c.vectors;
    cell.flips = flips_of(c, e);
    cell.gates = c.gates;
    cell.engine = c.quantized.engine;
    cell.variant = c.quantized.variant;
    cell.machine = c.machine.substr(0, c.machine.find(", load "));  // which changes no figure here
    cell.version = c.version;
    cell.date = c.date;
    if (!e || e->figures.empty()) return;
    const TaskFigure& first = e->figures.front();
    cell.metric = first.metric;
    cell.original = *first.original;
    cell.value = first.value;
    cell.difference = first.difference;
  }

  ConvertOptions conversion_of(SweepCell& cell, const SweepModel& model, const SweepScheme& scheme) {
    ConvertOptions conversion{.model = model.path,
                              .output = folder_of(cell),
                              .scheme = scheme.scheme,
                              .keep = scheme.keep,
                              .overrides = scheme.overrides,
                              .layout = scheme.layout,
                              .strict = options_.strict,
                              .if_done = IfDone::renew,
                              .threads = options_.threads};
    if (!scheme.calibrate.empty())
      conversion.calibration =
          Calibration{.texts = texts_of(
                          scheme.calibrate == "model" ? model.calibration.string() : scheme.calibrate, cell),
                      .method = scheme.method,
                      .limit = scheme.calibrate_limit,
                      .built_in = scheme.built_in};
    if (!scheme.recipe.empty()) apply_recipe(scheme.recipe, conversion);
    if (!scheme.preset.empty()) apply_preset(scheme.preset, conversion);
    return conversion;
  }

  // The texts of a file, read once for all cells; each cell that uses them gets the warnings.
  const std::vector<TextInput>& texts_of(const std::string& file, SweepCell& cell) {
    if (!calibration_texts_.contains(file)) {
      TextsRead read;
      // None stands for the built-in text.
      if (file != "default") read.texts = read_texts(file, collected_in(read.warnings));
      calibration_texts_[file] = std::move(read);
    }
    const TextsRead& known = calibration_texts_.at(file);
    repeat(known.warnings, cell);
    return known.texts;
  }

  void repeat(const std::vector<std::string>& warnings, SweepCell& cell) {
    for (const std::string& sentence : warnings) warning(cell)(sentence);
  }

  fs::path folder_of(const SweepCell& cell) const {
    return sweep_.output / "models" / cell.model / cell.scheme;
  }
  fs::path record_of(const SweepCell& cell, const char* ending) const {
    const fs::path folder = sweep_.output / "cells" / cell.model;
    if (doing_ == Doing::running) fs::create_directories(folder);
    return folder / (cell.scheme + ending);
  }

  static std::string text_of(const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  void write_table() const {
    fs::create_directories(sweep_.output);
    write_whole_file(sweep_.output / "matrix.json", with_shown_paths(to_json(result_)));
    write_whole_file(sweep_.output / "matrix.md", with_shown_paths(to_markdown(result_)));
    write_whole_file(sweep_.output / "matrix.svg", to_svg(result_));
  }

  Warning warning(SweepCell& cell) {
    return [this, &cell](std::string_view sentence) {
      if (std::ranges::find(cell.warnings, sentence) != cell.warnings.end()) return;
      cell.warnings.emplace_back(sentence);
      if (options_.strict)
        throw Error(ErrorCode::strict, std::string(sentence) + " (an error under --strict)");
      if (options_.warning) options_.warning(fmt::format("{} {}: {}", cell.model, cell.scheme, sentence));
    };
  }

  Progress progress() {
    return [this](std::string_view stage, uint64_t done, uint64_t total) {
      if (options_.progress) options_.progress(fmt::format("{}: {}", label_, stage), done, total);
    };
  }

  const Sweep& sweep_;
  const SweepOptions& options_;
  Doing doing_;
  SweepResult result_;
  FileHashes hashes_;
  std::map<std::string, TextsRead> calibration_texts_;
  std::optional<ModelItems> items_;  // of the model in turn, once needed
  std::string label_;
};

}  // namespace

SweepResult plan_sweep(const Sweep& sweep, const SweepOptions& options) {
  return with_file_errors([&] { return Run(sweep, options, Doing::planning).result(); });
}

SweepResult run_sweep(const Sweep& sweep, const SweepOptions& options) {
  return with_file_errors([&] {
    fs::create_directories(sweep.output);
    const FileLock lock(sweep.output / "matrix.json", IfLocked::refuse,
                        "is running a matrix into this folder");
    return Run(sweep, options, Doing::running).result();
  });
}

}  // namespace mlxe
