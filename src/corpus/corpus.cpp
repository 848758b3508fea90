#include "mlx_encoder/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "base/file_errors.h"
#include "base/file_lock.h"
#include "base/made_folders.h"
#include "base/output_path.h"
#include "base/sha256.h"
#include "base/wording.h"
#include "corpus/corpus_files.h"
#include "corpus/corpus_reader.h"
#include "corpus/corpus_record.h"
#include "corpus/corpus_writer.h"
#include "corpus/window_runner.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "vectors/vector_file.h"

namespace mlxe {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Windows that wait between two threads: one to work on next, while the following one is made.
constexpr size_t kWaiting = 2;
constexpr size_t kNamed = 4;  // most files in a message

VectorFormat format_of(const CorpusOptions& options) {
  if (options.format.empty()) return options.chunking ? VectorFormat::safetensors : VectorFormat::npy;
  const VectorFormat format = vector_format({}, options.format);
  if (format == VectorFormat::npy && options.chunking)
    throw Error(ErrorCode::usage,
                ".npy has no place for the texts and ranges of chunks; choose safetensors, jsonl or parquet");
  return format;
}

void require_ranges(const CorpusOptions& options) {
  if (needs_ranges(options.precision) && options.ranges.empty())
    throw Error(
        ErrorCode::usage,
        fmt::format(
            "{} vectors of a corpus need ranges that are the same for all files; embed some texts with "
            "--save-ranges FILE first, and give them with --ranges FILE",
            name(options.precision)));
}

// What all vectors of a corpus have in common. Two runs with equal keys give the same vectors, up to the rounding of
// processors of different kinds.
json key_of(const Encoder& encoder, const CorpusOptions& options, VectorFormat format) {
  const EmbedOptions& embed = options.embed;
  json key{{"mlx_encoder", kVersion},
           {"model", encoder.fingerprint()},
           {"engine", encoder.info().engine},
           {"activations", name(encoder.info().activations)},
           {"max_length", encoder.info().max_tokens},
           {"dimension", encoder.dimension(embed)},
           {"normalize", embed.normalize},
           {"task", embed.task == EmbedTask::query      ? "query"
                    : embed.task == EmbedTask::document ? "document"
                                                        : ""},
           {"prompt_name", embed.prompt_name},
           {"prompt", embed.prompt ? json(*embed.prompt) : json()},
           {"precision", name(options.precision)},
           {"format", name(format)},
           {"text_column", options.text_column},
           {"chunk", json()},
           {"ranges", json()}};
  if (options.chunking) {
    const ChunkOptions& c = *options.chunking;
    key["chunk"] = {{"tokens", c.tokens}, {"overlap", c.overlap}, {"late", c.late}};
  }
  if (!options.ranges.empty()) {
    std::string text = options.ranges.in_float64 ? "double " : "float ";
    for (const auto* side : {&options.ranges.lowest, &options.ranges.highest})
      for (const double value : *side) text += fmt::format("{} ", value);
    key["ranges"] = sha256_hex(std::as_bytes(std::span(text)));
  }
  return key;
}

void require_apart(const fs::path& input, const fs::path& output) {
  with_file_errors([&] {
    const fs::path in = fs::weakly_canonical(input), out = fs::weakly_canonical(output);
    if (is_within(in, out) || is_within(out, in))
      throw Error(ErrorCode::usage,
                  fmt::format("{}: the folder of the vectors and that of the texts, {}, must not lie in "
                              "each other; give another folder",
                              output.string(), input.string()));
    return 0;
  });
}

// The files of vectors, relative to their folder, in the order of `files`. Errors: usage (a file where another
// needs a folder).
std::vector<std::string> outputs_of(std::span<const CorpusFile> files, VectorFormat format) {
  std::vector<std::string> outputs;
  std::map<std::string, std::string> whose{{CorpusRecord::kName, CorpusRecord::kName}};
  for (const CorpusFile& file : files) {
    outputs.push_back(vectors_name(file, format));
    whose[outputs.back()] = file.name;
  }
  for (const std::string& output : outputs)
    for (fs::path folder = fs::path(output).parent_path(); !folder.empty(); folder = folder.parent_path())
      if (const auto found = whose.find(folder.generic_string()); found != whose.end())
        throw Error(
            ErrorCode::usage,
            fmt::format("{}: the folder of its vectors would have the name of a file, that of {}; rename one",
                        output, found->second));
  return outputs;
}

// Removes what a run that was killed left of these outputs. The lock on the folder must be held: then no process writes
// them.
void remove_unfinished(const fs::path& folder, std::span<const std::string> outputs) {
  std::set<std::string> own(outputs.begin(), outputs.end());
  own.insert(CorpusRecord::kName);
  std::vector<fs::path> unfinished;
  walk(folder, [&](const fs::directory_entry& entry) {
    const std::string target = target_of_partial(entry.path());
    if (target.empty() || !entry.is_regular_file()) return;
    const fs::path output = (entry.path().parent_path() / target).lexically_relative(folder);
    if (own.contains(output.generic_string())) unfinished.push_back(entry.path());
  });
  std::error_code ignored;
  for (const fs::path& file : unfinished) fs::remove(file, ignored);
}

// A run that is continued must not leave vectors of texts that are gone among the others without a word.
// `files` are sorted.
void tell_missing(const fs::path& folder, std::span<const CorpusFile> files, const CorpusRecord& record,
                  const Warning& warning) {
  std::vector<std::string> missing;
  for (const auto& [file, finished] : record.all())
    if (!std::ranges::binary_search(files, file, {}, &CorpusFile::name)) missing.push_back(finished.output);
  if (!missing.empty() && warning)
    warning(fmt::format("{}: the texts of {} are gone; the vectors stay", folder.string(),
                        listed(missing, kNamed)));
}

// A thread that is waited for. Not a Background, which runs its work later if the system starts no thread: the other end of
// its queue would wait forever. Errors: io (the system starts no thread).
class Worker {
 public:
  explicit Worker(std::function<void()> body) try : thread_(std::move(body)) {
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::io, fmt::format("no thread could be started: {}", error.code().message()));
  }
  ~Worker() { join(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

class CorpusRun {
 public:
  // All must outlive this object. `files`: those that are left to do.
  CorpusRun(const Encoder& encoder, const CorpusOptions& options, VectorFormat format, const fs::path& output,
            std::span<const CorpusFile> files, CorpusRecord& record)
      : options_(options),
        files_(files),
        warning_(one_at_a_time(options.warning)),
        windows_(encoder, files, options, warning_, [this] { show_progress(); }),
        writer_(files, output, format, options, encoder.dimension(options.embed), record) {
    for (const CorpusFile& file : files) bytes_ += file.bytes;
  }

  void run() {
    BoundedQueue<CorpusWindow> texts(kWaiting);
    BoundedQueue<CorpusVectors> vectors(kWaiting);
    Worker writer([&] { writer_.run(vectors); });
    try {
      embed_all(texts, vectors);
    } catch (...) {
      vectors.close();
      writer.join();  // writes what is done
      throw;
    }
    vectors.close();
    writer.join();
    writer_.rethrow();
    windows_.finish();
  }

  uint64_t truncated() const noexcept { return windows_.truncated(); }

 private:
  // The reader warns on its own thread.
  Warning one_at_a_time(const Warning& warning) {
    if (!warning) return {};
    return [this, &warning](std::string_view sentence) {
      const std::lock_guard lock(warning_mutex_);
      warning(sentence);
    };
  }

  void embed_all(BoundedQueue<CorpusWindow>& texts, BoundedQueue<CorpusVectors>& vectors) {
    Worker reader([&] { read_corpus(files_, options_.text_column, warning_, texts); });
    try {
      while (auto window = texts.pop()) {
        const CorpusPiece last = window->pieces.back();
        if (!vectors.push(windows_.run(std::move(*window)))) break;  // the writer has an error
        while (files_before_ < last.file) bytes_before_ += files_[files_before_++].bytes;
        bytes_done_ = bytes_before_ + last.past;
        show_progress();
      }
    } catch (...) {
      texts.cancel();
      throw;
    }
    texts.cancel();
  }

  void show_progress() const {
    if (options_.progress)
      options_.progress(fmt::format("embedding {} file{}", files_.size(), files_.size() == 1 ? "" : "s"),
                        bytes_done_, bytes_);
  }

  const CorpusOptions& options_;
  std::span<const CorpusFile> files_;
  std::mutex warning_mutex_;
  Warning warning_;
  WindowRunner windows_;
  CorpusWriter writer_;
  size_t files_before_ = 0;  // files that are done, and their bytes
  uint64_t bytes_before_ = 0, bytes_done_ = 0, bytes_ = 0;
};

}  // namespace

CorpusResult embed_corpus(const Encoder& encoder, const fs::path& input, const fs::path& output,
                          const CorpusOptions& options) {
  const fs::path folder = output.has_filename() ? output : output.parent_path();
  const VectorFormat format = format_of(options);
  require_ranges(options);
  require_apart(input, folder);
  const std::vector<CorpusFile> files = corpus_files(input, options.warning);
  const json key = key_of(encoder, options, format);

  const std::vector<std::string> outputs = outputs_of(files, format);
  // Options that the model refuses are known before anything is written.
  const CorpusVectors none = WindowRunner(encoder, files, options, {}, {}).run({});
  quantize(none.vectors, options.precision, options.ranges);

  const MadeFolders made(folder);
  const FileLock lock(with_file_errors([&] { return fs::canonical(folder); }), IfLocked::refuse,
                      "embeds a corpus into this folder");
  CorpusRecord record(folder, key);
  remove_unfinished(folder, outputs);
  tell_missing(folder, files, record, options.warning);
  std::vector<CorpusFile> left;
  for (const CorpusFile& file : files)
    if (!record.finished(file)) left.push_back(file);
  CorpusResult result{.files = files.size(),
                      .files_before = files.size() - left.size(),
                      .columns = packed_columns(encoder.dimension(options.embed), options.precision)};
  if (!left.empty()) {
    CorpusRun run(encoder, options, format, folder, left, record);
    run.run();
    result.truncated = run.truncated();
  }
  for (const CorpusFile& file : files) {
    const FinishedFile& finished = record.all().at(file.name);
    result.texts += finished.texts;
    result.vectors += finished.vectors;
  }
  return result;
}

}  // namespace mlxe
