// mlx-encoder embed: one vector a text.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/output_file.h"
#include "base/spool_file.h"
#include "base/wording.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/vector_precision.h"
#include "print_json.h"
#include "range_file.h"
#include "texts.h"
#include "vector_file.h"

namespace mlxe::cli {
namespace {

constexpr int64_t kShown = 8;             // values of a vector that are printed without --json
constexpr int64_t kTextsForRanges = 100;  // fewer give a warning, as in sentence-transformers

struct EmbedArguments {
  RunOptions run;
  TextSource texts;
  PromptOptions prompt;
  int64_t dimension = 0;
  bool normalize = false;
  std::string precision = "float32";
  std::string ranges, save_ranges;
  std::string output, output_format;

  EmbedOptions options() const {
    EmbedOptions options;
    prompt.apply(options);
    options.dimension = dimension;
    options.normalize = normalize;
    options.progress = progress();
    return options;
  }
};

// Prints vectors, or writes them to a file.
class VectorSink {
 public:
  VectorSink(const EmbedArguments& o, VectorPrecision precision, int64_t columns)
      : o_(o), precision_(precision), columns_(packed_columns(columns, precision)) {
    if (!o.output.empty())
      file_ =
          open_vector_file(o.output, vector_format(o.output, o.output_format), dtype_of(precision), columns_);
  }

  // Whether take() reads the texts.
  bool shows_texts() const { return !file_ && !o_.run.json; }

  void take(std::span<const std::string> texts, const PackedVectors& vectors) {
    if (file_) file_->append(vectors);
    for (int64_t i = 0; !file_ && i < vectors.rows; ++i) {
      if (o_.run.json)
        print_json(nlohmann::json{{"index", rows_ + i}, {"embedding", json_values(vectors, i)}});
      else
        show(texts[static_cast<size_t>(i)], json_values(vectors, i));
    }
    rows_ += vectors.rows;
  }

  void finish() {
    if (!file_) return;
    file_->finish();
    std::ostream& said = file_->is_standard_output()
                             ? std::cerr
                             : std::cout;  // a sentence after the vectors would damage them
    if (o_.run.json)
      print_json(
          nlohmann::json{
              {"output", o_.output}, {"rows", rows_}, {"columns", columns_}, {"precision", name(precision_)}},
          -1, said);
    else
      said << fmt::format("{}: {} vectors of {} {} values\n", cleaned(o_.output), rows_, columns_,
                          name(precision_));
  }

 private:
  static void show(const std::string& text, const nlohmann::json& values) {
    std::vector<std::string> head;
    for (const nlohmann::json& v : values) {
      if (head.size() == static_cast<size_t>(kShown)) break;
      head.push_back(v.is_number_float() ? fmt::format("{:.5f}", v.get<double>()) : v.dump());
    }
    std::cout << fmt::format("{}\n  [{}{}]  {} values\n", text, fmt::join(head, ", "),
                             values.size() > head.size() ? ", ..." : "", values.size());
  }

  const EmbedArguments& o_;
  VectorPrecision precision_;
  int64_t columns_;
  int64_t rows_ = 0;
  std::unique_ptr<VectorFile> file_;
};

// The vectors of all texts in a temporary file, until the ranges of all are known.
class WaitingVectors {
 public:
  void add(const Vectors& vectors, std::vector<std::string> texts) {
    spool_.write(std::as_bytes(std::span(vectors.values)));
    rows_ += vectors.rows;
    texts_.insert(texts_.end(), std::make_move_iterator(texts.begin()), std::make_move_iterator(texts.end()));
  }

  void give(VectorSink& sink, VectorPrecision precision, const VectorRanges& ranges) {
    const auto columns = static_cast<int64_t>(ranges.lowest.size());
    std::span<const std::string> texts = texts_;
    for (int64_t done = 0; done < rows_;) {
      Vectors window{std::min<int64_t>(kWindow, rows_ - done), columns, {}};
      window.values.resize(static_cast<size_t>(window.rows * columns));
      spool_.read(std::as_writable_bytes(std::span(window.values)));
      sink.take(texts, quantize(window, precision, ranges));
      if (!texts.empty()) texts = texts.subspan(static_cast<size_t>(window.rows));
      done += window.rows;
    }
  }

 private:
  SpoolFile spool_;
  int64_t rows_ = 0;
  std::vector<std::string> texts_;
};

// Throws the errors that can be known before the model is loaded, and reads --ranges.
VectorRanges check_files(const EmbedArguments& o, VectorPrecision precision) {
  if (!o.output_format.empty() && o.output.empty())
    throw Error(ErrorCode::usage,
                "--output-format applies to a file of vectors; add -o FILE, or leave it out");
  if (!o.output.empty()) {
    require_writable(o.output);
    vector_format(o.output, o.output_format);
  }
  if (!o.save_ranges.empty()) require_range_file(o.save_ranges);
  if (o.ranges.empty()) return {};
  if (!o.save_ranges.empty())
    throw Error(ErrorCode::usage, "--ranges and --save-ranges were given; ranges are either read or found");
  if (!needs_ranges(precision))
    throw Error(
        ErrorCode::usage,
        fmt::format("--ranges: {} has no ranges, int8 and uint8 have; leave one out", name(precision)));
  return read_ranges(o.ranges);
}

void require_width(const EmbedArguments& o, const VectorRanges& ranges, int64_t columns) {
  if (!ranges.empty() && static_cast<int64_t>(ranges.lowest.size()) != columns)
    throw Error(
        ErrorCode::usage,
        fmt::format("--ranges {}: has {} columns, the vectors have {} values; give ranges of such vectors",
                    o.ranges, ranges.lowest.size(), columns));
}

int embed(const EmbedArguments& o) {
  EmbedOptions options = o.options();
  const VectorPrecision precision = parse_vector_precision(o.precision);
  VectorRanges ranges = check_files(o, precision);
  const Encoder encoder = o.run.load();
  const int64_t columns = o.dimension > 0 ? o.dimension : encoder.info().dimension;
  require_width(o, ranges, columns);

  std::optional<WaitingVectors> waiting;
  if (needs_ranges(precision) && o.ranges.empty()) waiting.emplace();
  VectorSink sink(o, precision, columns);
  int64_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    options.first_text = static_cast<size_t>(done);
    std::vector<std::string> texts = single_texts(std::move(window), options.first_text, "embed");
    const Vectors vectors = encoder.embed(texts, options);
    done += vectors.rows;
    if (waiting || !o.save_ranges.empty()) ranges.widen(vectors);
    if (!waiting)
      sink.take(texts, quantize(vectors, precision, ranges, options.first_text));
    else
      waiting->add(vectors, sink.shows_texts() ? std::move(texts) : std::vector<std::string>());
  });
  if ((waiting || !o.save_ranges.empty()) && done < kTextsForRanges)
    o.run.warning()(
        fmt::format("the ranges come from {} text{}; take them from {} or more (--save-ranges), and give "
                    "them with --ranges",
                    done, done == 1 ? "" : "s", kTextsForRanges));
  if (waiting) waiting->give(sink, precision, ranges);
  // First, because vectors of few bits mean nothing without their ranges.
  if (!o.save_ranges.empty()) write_ranges(o.save_ranges, ranges);
  sink.finish();
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("embed", "Compute sentence vectors by the model's own pooling");
  auto o = std::make_shared<EmbedArguments>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  o->prompt.add_to(*command);
  command
      ->add_option("--dim", o->dimension,
                   "Keep the first N values of each vector; scaled to length 1 if the model's vectors are")
      ->check(at_least(1));
  command->add_flag("--normalize", o->normalize, "Scale each vector to length 1");
  command
      ->add_option("--precision", o->precision,
                   "float32, float16, int8, uint8, binary or ubinary: type of the values")
      ->capture_default_str();
  command->add_option("--ranges", o->ranges,
                      "Ranges of int8 and uint8: a .npy or .json file [those of the texts]");
  command->add_option("--save-ranges", o->save_ranges,
                      "Write the ranges of the texts' vectors: a .npy or .json file");
  command->add_option("-o,--output", o->output,
                      "Write the vectors to this .npy, .jsonl or .safetensors file");
  command->add_option("--output-format", o->output_format,
                      "npy, jsonl or safetensors [by the file's ending]");
  command->callback([o, &run] { run = [o] { return embed(*o); }; });
}

}  // namespace mlxe::cli
