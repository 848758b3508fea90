// mlx-encoder: the program. Parses arguments, runs one command, turns errors into one sentence and an exit
// status.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/progress_bar.h"
#include "base/wording.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/inspect.h"
#include "mlx_encoder/version.h"

namespace mlxe::cli {

namespace {

// One bar for all that is drawn and said while somebody holds it; an error on its way out takes it away.
std::shared_ptr<ProgressBar> shared_bar() {
  static std::mutex mutex;
  static std::weak_ptr<ProgressBar> current;
  std::lock_guard lock(mutex);
  std::shared_ptr<ProgressBar> bar = current.lock();
  if (!bar) current = bar = std::make_shared<ProgressBar>();
  return bar;
}

}  // namespace

Warning warnings(Strictness strictness) {
  auto said = std::make_shared<std::pair<std::mutex, std::set<std::string>>>();
  return [said, strictness, bar = shared_bar()](std::string_view sentence) {
    if (strictness == Strictness::strict)
      throw Error(ErrorCode::strict, std::string(sentence) + " (an error under --strict)");
    std::lock_guard lock(said->first);
    if (said->second.emplace(sentence).second) bar->print("warning: " + cleaned(sentence));
  };
}

void tell_changed_files(const std::filesystem::path& folder, Strictness strictness, const Warning& warning) {
  if (strictness == Strictness::warn) return;
  for (const std::string& change : changed_files(folder)) warning(change);
}

Progress progress() {
  return [bar = shared_bar()](std::string_view stage, uint64_t done, uint64_t total) {
    bar->update(stage, done, total);
  };
}

namespace {

int fail(ErrorCode code, const std::string& message, bool json) {
  if (json)
    std::cout << nlohmann::json{{"error", {{"code", name(code)}, {"message", message}}}}.dump(
                     -1, ' ', false, nlohmann::json::error_handler_t::replace)
              << '\n';
  std::cerr << "mlx-encoder: " << cleaned(message) << '\n';
  return exit_status(code);
}

}  // namespace
}  // namespace mlxe::cli

int main(int argc, char** argv) {
  using namespace mlxe;
  std::signal(SIGPIPE, SIG_DFL);  // `mlx-encoder embed ... | head` ends quietly
  std::ios::sync_with_stdio(false);

  CLI::App app{
      "Converts Hugging Face text encoders to MLX with real quantization, runs them and proves them."};
  app.set_version_flag("--version", std::string("mlx-encoder ") + kVersion);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 internal, 2 usage, 3 gate failed, 4 not found, 5 input/output, 6 malformed "
      "input,\n"
      "7 unsupported, 8 NaN or infinity, 9 a warning under --strict.");
  cli::Run run;
  for (auto add : {cli::add_convert, cli::add_dequantize, cli::add_inspect, cli::add_compare,
                   cli::add_evaluate, cli::add_matrix, cli::add_sensitivity, cli::add_embed,
                   cli::add_classify, cli::add_zero_shot, cli::add_tag, cli::add_similarity,
                   cli::add_tokenize, cli::add_doctor, cli::add_bench, cli::add_measure})
    add(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e, std::cout, std::cerr);
    return exit_status(ErrorCode::usage);
  }

  bool json = false;
  for (int i = 1; i < argc; ++i) json |= std::string_view(argv[i]) == "--json";
  try {
    const int status = run();
    std::cout.flush();
    if (!std::cout) return cli::fail(ErrorCode::io, "standard output: writing failed", false);
    return status;
  } catch (const Error& e) {
    return cli::fail(e.code(), e.what(), json);
  } catch (const std::bad_alloc&) {
    return cli::fail(ErrorCode::io, "out of memory", json);
  } catch (const std::exception& e) {
    return cli::fail(ErrorCode::internal, std::string("internal error: ") + e.what(), json);
  }
}
