#include "measured_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/measure.h"
#include "mlx_encoder/error.h"
#include "print_json.h"

extern char** environ;

namespace mlxe::cli {
namespace {

constexpr int kStarts = 3;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// A file without a name. It disappears with the last process that has it open.
File temporary_file() {
  File file(std::tmpfile(), &std::fclose);
  if (!file) throw Error(ErrorCode::io, fmt::format("temporary file: {}", std::strerror(errno)));
  return file;
}

// A pipe that nobody writes to. Only this process has its writing end, so a child reads end-of-file when
// this process ends, in whatever way.
class Lifeline {
 public:
  Lifeline() {
    if (::pipe(ends_.data()) != 0)
      throw Error(ErrorCode::io, fmt::format("measuring: can't make a pipe: {}", std::strerror(errno)));
    ::fcntl(ends_[1], F_SETFD, FD_CLOEXEC);
  }
  ~Lifeline() {
    for (const int end : ends_) ::close(end);
  }
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;

  int end_of_child() const noexcept { return ends_[0]; }

 private:
  std::array<int, 2> ends_{};
};

std::string this_program() {
#ifdef __APPLE__
  char path[4096];
  uint32_t size = sizeof path;
  if (_NSGetExecutablePath(path, &size) != 0)
    throw Error(ErrorCode::io, "the path of this program is too long");
  return path;
#else
  return "/proc/self/exe";
#endif
}

std::string read_all(std::FILE* file) {
  std::string text;
  std::rewind(file);
  char block[4096];
  for (size_t n; (n = std::fread(block, 1, sizeof block, file)) > 0;) text.append(block, n);
  return text;
}

ErrorCode code_of(const std::string& name_of_code) {
  for (ErrorCode code : {ErrorCode::usage, ErrorCode::not_found, ErrorCode::io, ErrorCode::format,
                         ErrorCode::unsupported, ErrorCode::numeric, ErrorCode::strict})
    if (name_of_code == name(code)) return code;
  return ErrorCode::internal;
}

// Runs `measure` with the additional arguments `more` and `input` as standard input. Returns what it prints.
nlohmann::ordered_json run_once(const MeasureRequest& r, std::FILE* input,
                                const std::vector<std::string>& more) {
  const File result = temporary_file();
  std::vector<std::string> arguments{"mlx-encoder",     "measure",
                                     r.folder.string(), "--json",
                                     "--engine",        r.engine,
                                     "--activations",   r.activations,
                                     "--threads",       std::to_string(r.threads),
                                     "--seconds",       fmt::format("{}", r.seconds)};
  if (r.max_length > 0) arguments.insert(arguments.end(), {"--max-length", std::to_string(r.max_length)});
  if (r.strict) arguments.emplace_back("--strict");
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Lifeline lifeline;
  arguments.insert(arguments.end(), {"--lifeline", std::to_string(lifeline.end_of_child())});
  // Added last, so that the clock starts as late as possible. Both processes have the same steady_clock.
  arguments.insert(
      arguments.end(),
      {"--started", std::to_string(std::chrono::steady_clock::now().time_since_epoch().count())});
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);

  std::rewind(input);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(input), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(result.get()), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, this_program().c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    throw Error(ErrorCode::io, fmt::format("measuring: can't start a process: {}", std::strerror(failed)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw Error(ErrorCode::io, fmt::format("measuring: {}", std::strerror(errno)));

  const auto json = nlohmann::ordered_json::parse(read_all(result.get()), nullptr, false);
  if (json.is_object() && json.contains("error"))
    throw Error(code_of(json["error"].value("code", "")), json["error"].value("message", ""));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !json.is_object())
    throw Error(ErrorCode::io,
                fmt::format("measuring {}: the process ended {} {} without a result", r.folder.string(),
                            WIFSIGNALED(status) ? "by signal" : "with status",
                            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
  return json;
}

}  // namespace

Measurement measure_apart(const MeasureRequest& request, std::span<const TextInput> texts) {
  const File file = temporary_file();
  for (const TextInput& text : texts) {
    nlohmann::json line{{"text", text.text}};
    if (text.pair) line["text_pair"] = *text.pair;
    const std::string written = json_line(line);
    std::fwrite(written.data(), 1, written.size(), file.get());
  }
  if (std::fflush(file.get()) != 0)
    throw Error(ErrorCode::io, fmt::format("temporary file: {}", std::strerror(errno)));

  const auto start = [&] {
    return parse_measurement(run_once(request, file.get(), {"--only-start"})).cold_start.median;
  };
  start();
  Measurement m = parse_measurement(run_once(request, file.get(), {}));
  std::vector<double> starts{m.cold_start.median};
  while (starts.size() < kStarts) starts.push_back(start());
  std::ranges::sort(starts);
  m.cold_start = {
      .median = starts[starts.size() / 2], .min = starts.front(), .max = starts.back(), .repeats = kStarts};
  return m;
}

BatchTime bench_apart(const MeasureRequest& request, BatchShape shape) {
  const File nothing = temporary_file();
  const auto run = [&](BatchShape s, double seconds) {
    MeasureRequest one = request;
    one.seconds = seconds;
    std::vector<std::string> more{"--shape", s.name()};
    if (request.first_token) more.emplace_back("--first-token");
    return run_once(one, nothing.get(), more);
  };
  run({1, 1}, 0);
  return parse_batch_time(run(shape, request.seconds));
}

}  // namespace mlxe::cli
