// mlx-encoder measure: times one model in this process. Hidden: `compare` and `bench` start it for each
// model.
#include "bench/measure.h"

#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "arguments.h"
#include "bench/bench.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

// The start of the process, if --started is not given.
const auto kStarted = std::chrono::steady_clock::now();

struct MeasureArguments {
  RunOptions run;
  TextSource texts{.arguments = {}, .input = "-", .format = "jsonl"};
  int64_t started = 0;
  int lifeline = -1;
  double seconds = 2;
  bool only_start = false;
  std::string shape;  // times a batch of this shape instead of texts
  bool first_token = false;
};

// Ends this process when its parent ends: the parent's end of the pipe is then closed.
void end_with_parent(int pipe) {
  try {
    std::thread([pipe] {
      char nothing;
      while (::read(pipe, &nothing, 1) < 0 && errno == EINTR) {
      }
      ::_exit(exit_status(ErrorCode::io));
    }).detach();
  } catch (const std::system_error&) {  // no thread: the process ends by itself after some seconds
  }
}

int measure_model(const MeasureArguments& o) {
  if (o.lifeline >= 0) end_with_parent(o.lifeline);
  const EncoderOptions encoder{.engine = parse_engine(o.run.engine),
                               .activations = parse_activations(o.run.activations),
                               .threads = o.run.threads,
                               .max_length = o.run.max_length,
                               .warning = o.run.warning()};
  auto started = kStarted;
  if (o.started != 0)
    started = std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(o.started));
  if (!o.shape.empty()) {
    const BatchTime t =
        bench(o.run.folder, parse_batch_shape(o.shape),
              {.encoder = encoder, .started = started, .seconds = o.seconds, .first_token = o.first_token});
    print_json(batch_time_json(t), 2);
    return 0;
  }
  std::vector<TextInput> texts;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    texts.insert(texts.end(), std::move_iterator(window.begin()), std::move_iterator(window.end()));
  });
  const MeasureOptions options{
      .encoder = encoder, .started = started, .seconds = o.seconds, .only_start = o.only_start};
  print_json(measurement_json(measure(o.run.folder, texts, options)), 2);
  return 0;
}

}  // namespace

void add_measure(CLI::App& app, Run& run) {
  auto options = std::make_shared<MeasureArguments>();
  CLI::App* command = app.add_subcommand("measure", "Time and memory of one model, in this process");
  command->group("");
  options->run.add_to(*command);
  command->add_option("--texts", options->texts.input, "File of texts, or - for standard input");
  command->add_option("--input-format", options->texts.format, "txt, tsv or jsonl");
  command->add_option("--seconds", options->seconds, "Latency and throughput may take this long each")
      ->check(between(0, kMostSeconds));
  command->add_option("--started", options->started,
                      "Reading of the steady clock when the process was started");
  command->add_option("--lifeline", options->lifeline,
                      "Descriptor of a pipe whose other end closes with the process that wants the figures");
  command->add_option("--shape", options->shape, "Time a batch of token ids, TEXTSxTOKENS, instead of texts");
  command->add_flag("--first-token", options->first_token,
                    "Only what a head that reads the first token needs");
  command->add_flag("--only-start", options->only_start, "Stop after the first vector");
  command->callback([options, &run] { run = [options] { return measure_model(*options); }; });
}

}  // namespace mlxe::cli
