// mlx-encoder, the program. Parses arguments, runs one command, and reports an error as one sentence and an
// exit status.
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "arguments.h"
#include "base/file_errors.h"
#include "base/progress_bar.h"
#include "base/wording.h"
#include "command.h"
#include "format/linked_folders.h"
#include "last_words.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/inspect.h"
#include "mlx_encoder/version.h"
#include "model_names.h"
#include "print_json.h"
#include "run_files.h"
#include "safe_output.h"
#include "signals.h"
#include "standard_descriptors.h"

namespace mlxe::cli {

namespace {

// The bar that all progress and warnings share, as long as somebody holds it. An exception destroys the
// holders and so removes the bar.
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
    if (said->second.emplace(sentence).second)
      bar->print("warning: " + cleaned(with_shown_paths(std::string(sentence))));
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
  if (json) print_json(nlohmann::json{{"error", {{"code", name(code)}, {"message", message}}}});
  std::cerr << "mlx-encoder: " << message << '\n';
  return exit_status(code);
}

}  // namespace
}  // namespace mlxe::cli

int main(int argc, char** argv) {
  using namespace mlxe;
  cli::open_closed_standard_descriptors();
  const bool json = cli::wants_json(argc, argv);
  cli::install_last_words(json);
  cli::remove_leftovers_on_signals();
  std::ios::sync_with_stdio(false);
  const cli::SafeOutput safe_output(std::cout), safe_errors(std::cerr);

  CLI::App app{
      "Converts Hugging Face text encoders to MLX's quantized format, runs them, and compares them with the "
      "originals.",
      "mlx-encoder"};
  app.set_version_flag("--version", std::string("mlx-encoder ") + kVersion);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 internal, 2 usage, 3 gate failed, 4 not found, 5 input/output, 6 malformed "
      "input,\n"
      "7 unsupported, 8 NaN or infinity, 9 a warning under --strict.");
  cli::Run run;
  for (auto add : {cli::add_convert, cli::add_dequantize,   cli::add_inspect,      cli::add_verify,
                   cli::add_compare, cli::add_evaluate,     cli::add_matrix,       cli::add_sensitivity,
                   cli::add_embed,   cli::add_embed_sparse, cli::add_embed_tokens, cli::add_classify,
                   cli::add_rerank,  cli::add_zero_shot,    cli::add_tag,          cli::add_fill_mask,
                   cli::add_qa,      cli::add_choose,       cli::add_similarity,   cli::add_tokenize,
                   cli::add_doctor,  cli::add_bench,        cli::add_measure})
    add(app, run);
  cli::add_adapter_options(app);
  try {
    if (const std::optional<int> shown = cli::parse_arguments(app, argc, argv)) return *shown;
    cli::fetch_models(app);
    cli::require_separate_files(app);
    const int status = run();
    std::cout.flush();
    if (!std::cout) return cli::fail(ErrorCode::io, "standard output: writing failed", false);
    return status;
  } catch (const Error& e) {
    return cli::fail(e.code(), e.what(), json);
  } catch (const std::filesystem::filesystem_error& e) {
    return cli::fail(ErrorCode::io, file_error_text(e), json);
  } catch (const std::bad_alloc&) {
    return cli::fail(ErrorCode::io, "out of memory", json);
  } catch (const std::exception& e) {
    return cli::fail(ErrorCode::internal, std::string("internal error: ") + e.what(), json);
  }
}
