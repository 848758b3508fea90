// mlx-encoder embed: one vector a text, or a chunk of a text.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/output_file.h"
#include "base/spool_file.h"
#include "base/wording.h"
#include "command.h"
#include "embed_arguments.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/vector_precision.h"
#include "print_json.h"
#include "range_file.h"
#include "sparse_file.h"
#include "texts.h"
#include "token_file.h"
#include "vectors/vector_file.h"

namespace mlxe::cli {
namespace {

constexpr int64_t kShown = 8;             // values of a vector that are printed without --json
constexpr int64_t kTextsForRanges = 100;  // fewer give a warning, as in sentence-transformers
constexpr size_t kChunkedBytes = size_t{8}
                                 << 20;  // a window of texts to cut; their vectors take about as much again

// Of --chunk: TOKENS or TOKENS:OVERLAP.
ChunkOptions parse_chunk(const std::string& value) {
  ChunkOptions options;
  const auto read = [](std::string_view digits, int64_t& number) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && end == digits.data() + digits.size() && number >= 0;
  };
  const std::string_view text = value;
  const size_t colon = text.find(':');
  if (!read(text.substr(0, colon), options.tokens) || options.tokens == 0 ||
      (colon != text.npos && !read(text.substr(colon + 1), options.overlap)))
    throw Error(ErrorCode::usage,
                fmt::format("--chunk: found {}, expected tokens, as 256, or tokens and overlap, as 256:32",
                            printable(value)));
  return options;
}

// What the rows of a window belong to: texts, or chunks.
struct Rows {
  std::vector<std::string> texts;  // only if they are shown
  std::vector<Chunk> chunks;
};

// Prints vectors, or writes them to a file.
class VectorSink {
 public:
  VectorSink(const EmbedArguments& o, VectorPrecision precision, int64_t columns)
      : o_(o), precision_(precision), columns_(packed_columns(columns, precision)) {
    if (!o.output.empty())
      file_ = open_vector_file(o.output, vector_format(o.output, o.output_format), dtype_of(precision),
                               columns_, o.rows());
  }

  // Whether take() reads the texts.
  bool shows_texts() const { return !file_ && !o_.run.json && o_.rows() == VectorRows::texts; }

  void take(const Rows& rows, const PackedVectors& vectors) {
    if (file_) file_->append(vectors, rows.chunks);
    for (int64_t i = 0; !file_ && i < vectors.rows; ++i) {
      const auto row = static_cast<size_t>(i);
      if (o_.run.json)
        print_json(json_row(rows_ + i, vectors, rows.chunks, i));
      else
        show(rows.chunks.empty() ? rows.texts[row] : place(rows.chunks[row]), json_values(vectors, i));
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
  static std::string place(const Chunk& c) {
    return fmt::format("text {}, chunk {}: code points {} to {}, {} tokens", c.text + 1, c.index + 1, c.begin,
                       c.end, c.tokens);
  }

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

// All vectors in a temporary file, until the ranges of all are known.
class WaitingVectors {
 public:
  void add(const Vectors& vectors, Rows rows) {
    spool_.write(std::as_bytes(std::span(vectors.values)));
    count_ += vectors.rows;
    rows_.texts.insert(rows_.texts.end(), std::make_move_iterator(rows.texts.begin()),
                       std::make_move_iterator(rows.texts.end()));
    rows_.chunks.insert(rows_.chunks.end(), rows.chunks.begin(), rows.chunks.end());
  }

  void give(VectorSink& sink, VectorPrecision precision, const VectorRanges& ranges) {
    const auto columns = static_cast<int64_t>(ranges.lowest.size());
    for (int64_t done = 0; done < count_;) {
      Vectors window{std::min<int64_t>(kWindow, count_ - done), columns, {}};
      window.values.resize(static_cast<size_t>(window.rows * columns));
      spool_.read(std::as_writable_bytes(std::span(window.values)));
      sink.take({part(rows_.texts, done, window.rows), part(rows_.chunks, done, window.rows)},
                quantize(window, precision, ranges));
      done += window.rows;
    }
  }

 private:
  template <class T>
  static std::vector<T> part(const std::vector<T>& all, int64_t first, int64_t count) {
    if (all.empty()) return {};
    return {all.begin() + first, all.begin() + first + count};
  }

  SpoolFile spool_;
  int64_t count_ = 0;
  Rows rows_;
};

// The files of --sparse-output and --token-output, each if it is given.
class OtherVectors {
 public:
  OtherVectors(const EmbedArguments& o, const Encoder& encoder) {
    const TokenOf token = [&encoder](int32_t id) { return encoder.token(id); };
    if (!o.sparse.empty())
      sparse_ = open_sparse_file(o.sparse, sparse_format(o.sparse, ""), encoder.info().vocab_size, token);
    if (!o.tokens.empty()) tokens_ = open_token_file(o.tokens, token_format(o.tokens, ""), token);
  }

  void append(const AllVectors& vectors) {
    if (sparse_) sparse_->append(vectors.sparse);
    if (tokens_) tokens_->append(vectors.tokens);
  }
  void finish() {
    if (sparse_) sparse_->finish();
    if (tokens_) tokens_->finish();
  }

 private:
  std::unique_ptr<SparseFile> sparse_;
  std::unique_ptr<TokenFile> tokens_;
};

// Throws the errors that can be known before the model is loaded, and reads --ranges.
VectorRanges check_files(const EmbedArguments& o, VectorPrecision precision) {
  if (!o.output_format.empty() && o.output.empty())
    throw Error(ErrorCode::usage,
                "--output-format applies to a file of vectors; add -o FILE, or leave it out");
  if (!o.output.empty()) {
    require_writable(o.output);
    if (vector_format(o.output, o.output_format) == VectorFormat::npy && o.rows() == VectorRows::chunks)
      throw Error(
          ErrorCode::usage,
          fmt::format(
              "{}: .npy has no place for the texts and ranges of --chunk's vectors; write .safetensors, "
              ".jsonl or .parquet",
              o.output));
  }
  if (o.embeds_all() && !o.chunk.empty())
    throw Error(ErrorCode::usage,
                "--sparse-output and --token-output have vectors of texts, not of chunks; leave --chunk out");
  for (const std::string& file : {o.sparse, o.tokens})
    if (!file.empty()) require_writable(file);
  if (!o.sparse.empty()) sparse_format(o.sparse, "");
  if (!o.tokens.empty()) token_format(o.tokens, "");
  if (!o.save_ranges.empty()) require_range_file(o.save_ranges);
  if (o.ranges.empty()) return {};
  if (!o.save_ranges.empty())
    throw Error(ErrorCode::usage, "--ranges and --save-ranges were given; ranges are either read or found");
  return read_ranges(o.ranges, precision);
}

void require_width(const EmbedArguments& o, const VectorRanges& ranges, int64_t columns) {
  if (!ranges.empty() && static_cast<int64_t>(ranges.lowest.size()) != columns)
    throw Error(
        ErrorCode::usage,
        fmt::format("--ranges {}: has {} columns, the vectors have {} values; give ranges of such vectors",
                    o.ranges, ranges.lowest.size(), columns));
}

int embed(const EmbedArguments& o) {
  if (o.texts.is_folder()) return embed_corpus(o);
  EmbedOptions options = o.options();
  const std::optional<ChunkOptions> chunking = o.chunking();
  const VectorPrecision precision = parse_vector_precision(o.precision);
  VectorRanges ranges = check_files(o, precision);
  const Encoder encoder = o.run.load();
  const int64_t columns = encoder.dimension(options);
  require_width(o, ranges, columns);

  std::optional<WaitingVectors> waiting;
  if (needs_ranges(precision) && o.ranges.empty()) waiting.emplace();
  VectorSink sink(o, precision, columns);
  OtherVectors others(o, encoder);
  size_t texts_before = 0;
  int64_t done = 0;
  const auto take = [&](std::vector<TextInput> window) {
    options.first_text = texts_before;
    std::vector<std::string> texts = single_texts(std::move(window), texts_before, "embed");
    Rows rows;
    Vectors vectors;
    if (chunking) {
      ChunkVectors cut = encoder.embed_chunks(texts, *chunking, options);
      for (Chunk& chunk : cut.chunks) chunk.text += texts_before;
      rows.chunks = std::move(cut.chunks);
      vectors = std::move(cut.vectors);
    } else if (o.embeds_all()) {
      AllVectors all = encoder.embed_all(texts, options);
      others.append(all);
      vectors = std::move(all.dense);
    } else {
      vectors = encoder.embed(texts, options);
    }
    texts_before += texts.size();
    if (sink.shows_texts()) rows.texts = std::move(texts);
    if (waiting || !o.save_ranges.empty()) ranges.widen(vectors);
    if (waiting)
      waiting->add(vectors, std::move(rows));
    else
      sink.take(rows, quantize(vectors, precision, ranges, static_cast<size_t>(done), o.row_name()));
    done += vectors.rows;
  };
  o.texts.read(o.embeds_all() ? kTokenWindow : kWindow, o.run.warning(), take,
               chunking ? kChunkedBytes : std::numeric_limits<size_t>::max());
  if ((waiting || !o.save_ranges.empty()) && done < kTextsForRanges)
    o.run.warning()(
        fmt::format("the ranges come from {} {}{}; take them from {} or more (--save-ranges), and give "
                    "them with --ranges",
                    done, o.row_name(), done == 1 ? "" : "s", kTextsForRanges));
  if (waiting) waiting->give(sink, precision, ranges);
  // First, because vectors of few bits mean nothing without their ranges.
  if (!o.save_ranges.empty()) write_ranges(o.save_ranges, ranges);
  others.finish();
  sink.finish();
  return 0;
}

}  // namespace

std::optional<ChunkOptions> EmbedArguments::chunking() const {
  if (chunk.empty() && late_chunking) throw Error(ErrorCode::usage, "--late-chunking needs --chunk TOKENS");
  if (chunk.empty()) return std::nullopt;
  ChunkOptions options = parse_chunk(chunk);
  options.late = late_chunking;
  return options;
}

EmbedOptions EmbedArguments::options() const {
  EmbedOptions options;
  prompt.apply(options);
  options.dimension = dimension;
  options.normalize = normalize;
  options.progress = progress();
  return options;
}

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
  command->add_option(
      "--chunk", o->chunk,
      "TOKENS[:OVERLAP]: cut each text into chunks of at most TOKENS tokens, one vector a chunk");
  command->add_flag("--late-chunking", o->late_chunking,
                    "The model reads the whole text; a chunk's vector is the mean of its tokens'");
  command->add_option("--sparse-output", o->sparse,
                      "Write sparse vectors of the same run, too (bge-m3): .npz, .jsonl or .safetensors");
  command->add_option("--token-output", o->tokens,
                      "Write vectors of tokens of the same run, too (bge-m3): .npz, .jsonl or .safetensors");
  command->add_option("-o,--output", o->output,
                      "Write the vectors to this .npy, .jsonl, .parquet or .safetensors file; of a folder of "
                      "texts, a folder");
  command->add_option("--output-format", o->output_format,
                      "npy, jsonl, parquet or safetensors [by the file's ending]");
  command->callback([o, &run] { run = [o] { return embed(*o); }; });
}

}  // namespace mlxe::cli
