// mlx-encoder verify: whether a folder still computes what it computed when it was made.
#include "mlx_encoder/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "command.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "model_names.h"
#include "print_json.h"

namespace mlxe::cli {
namespace {

constexpr size_t kListedFailures = 3;  // most failures in the message on standard error

struct VerifyArguments {
  std::string folder, engine = "auto", against, save_golden;
  int threads = 0;
  bool strict = false, json = false;
};

template <class T>
nlohmann::json or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::json to_json(const VerifyReport& r, const std::string& folder) {
  nlohmann::json settings = nlohmann::json::array(), files = settings, texts = settings;
  for (const SettingInForce& s : r.settings)
    settings.push_back({{"name", s.name}, {"value", s.value}, {"from", s.from}});
  for (const CheckedFile& f : r.files) files.push_back({{"name", f.name}, {"problem", f.problem}});
  for (const CheckedText& t : r.texts)
    texts.push_back(
        {{"text", t.text},
         {"pair", or_null(t.pair)},
         {"prompt_name", t.prompt_name},
         {"difference", std::isfinite(t.difference) ? nlohmann::json(t.difference) : nlohmann::json()},
         {"cosine", t.cosine},
         {"cosine_to_original", or_null(t.cosine_to_original)},
         {"recorded_cosine", or_null(t.recorded_cosine)},
         {"problem", t.problem}});
  return {
      {"folder", folder},
      {"verdict", name(r.verdict)},
      {"failures", r.failures},
      {"model_type", r.model_type},
      {"engine", r.engine},
      {"engine_variant", r.engine_variant},
      {"settings", settings},
      {"config_keys", {{"used", r.used_keys}, {"harmless", r.harmless_keys}, {"ignored", r.ignored_keys}}},
      {"recorded", r.recorded},
      {"files", files},
      {"golden", r.golden.empty() ? nlohmann::json() : nlohmann::json(r.golden)},
      {"golden_made_by", r.golden_made_by},
      {"output", r.output},
      {"difference_limit", or_null(r.difference_limit)},
      {"cosine_limit", or_null(r.cosine_limit)},
      {"mean_cosine_limit", or_null(r.mean_cosine_limit)},
      {"mean_cosine", r.texts.empty() ? nlohmann::json() : nlohmann::json(r.mean_cosine)},
      {"texts", texts}};
}

std::string in_one_line(const CheckedText& t) {
  std::string text = t.pair ? t.text + " | " + *t.pair : t.text;
  if (!t.prompt_name.empty()) text = fmt::format("(prompt {}) {}", t.prompt_name, text);
  return cleaned(printable(text));
}

void print_settings(const VerifyReport& r) {
  if (r.settings.empty()) return;
  size_t names = 0, values = 0;
  for (const SettingInForce& s : r.settings) {
    names = std::max(names, s.name.size());
    values = std::max(values, std::min<size_t>(s.value.size(), 40));
  }
  std::cout << "\nsettings in force\n";
  for (const SettingInForce& s : r.settings)
    std::cout << fmt::format("  {:<{}}  {:<{}}  {}\n", cleaned(s.name), names, cleaned(s.value), values,
                             cleaned(s.from));
  std::cout << "\nkeys of config.json\n";
  for (const auto& [what, keys] : {std::pair("used", &r.used_keys), std::pair("harmless", &r.harmless_keys),
                                   std::pair("ignored", &r.ignored_keys)})
    if (!keys->empty())
      std::cout << fmt::format("  {:<8}  {}\n", what, cleaned(fmt::format("{}", fmt::join(*keys, ", "))));
}

void print_files(const VerifyReport& r) {
  if (!r.recorded) {
    std::cout << "\nfiles: no mlx_encoder.json, so there is no record to compare them with\n";
    return;
  }
  const auto bad = std::ranges::count_if(r.files, [](const CheckedFile& f) { return !f.problem.empty(); });
  std::cout << fmt::format("\nfiles: {} of {} as mlx_encoder.json records them\n",
                           r.files.size() - static_cast<size_t>(bad), r.files.size());
  for (const CheckedFile& f : r.files)
    std::cout << fmt::format("  {:<7}  {}\n", f.problem.empty() ? "same" : "FAILED", cleaned(f.name));
}

void print_texts(const VerifyReport& r) {
  if (r.golden.empty()) {
    std::cout << "\nresults: no golden, so there is nothing to compare them with\n";
    return;
  }
  std::cout << fmt::format("\nresults ({}) beside {}\n", r.output.empty() ? "none" : r.output,
                           cleaned(r.golden));
  if (!r.golden_made_by.empty()) std::cout << fmt::format("  made by {}\n", cleaned(r.golden_made_by));
  if (r.texts.empty()) return;
  std::cout << fmt::format("  run by the {} engine ({})\n", r.engine, r.engine_variant);
  std::cout << fmt::format("  {:>10}  {:>9}  {:>11}  {:>13}  {}\n", "difference", "cosine", "to original",
                           "at conversion", "text");
  const auto figure = [](const std::optional<double>& v) { return v ? fmt::format("{:.6f}", *v) : "-"; };
  for (const CheckedText& t : r.texts)
    std::cout << fmt::format("  {:>10.2e}  {:>9.6f}  {:>11}  {:>13}  {}{}\n", t.difference, t.cosine,
                             figure(t.cosine_to_original), figure(t.recorded_cosine), in_one_line(t),
                             t.problem.empty() ? "" : "  FAILED");
  const auto worst = std::ranges::max_element(r.texts, {}, &CheckedText::difference);
  const auto least = std::ranges::min_element(r.texts, {}, &CheckedText::cosine);
  std::cout << fmt::format(
      "  worst difference {:.2e}{}, worst cosine {:.6f}{}, mean {:.6f}{}\n", worst->difference,
      r.difference_limit ? fmt::format(" (at most {:.2e})", *r.difference_limit) : "", least->cosine,
      r.cosine_limit ? fmt::format(" (at least {:.6f})", *r.cosine_limit) : "", r.mean_cosine,
      r.mean_cosine_limit ? fmt::format(" (at least {:.6f} for the bits stored)", *r.mean_cosine_limit) : "");
}

int verify_folder(const VerifyArguments& o) {
  if (!o.save_golden.empty() && !regular_output(o.save_golden))
    throw Error(ErrorCode::usage,
                "--save-golden: " + o.save_golden +
                    " is a device or pipe, expected a file; the report is printed beside it");
  const Warning warning = warnings(o.strict ? Strictness::strict : Strictness::warn);
  const VerifyReport r = verify(o.folder, {.engine = parse_engine(o.engine),
                                           .threads = o.threads,
                                           .against = o.against,
                                           .save_golden = o.save_golden,
                                           .warning = warning});
  if (o.json) {
    print_json(to_json(r, o.folder));
  } else {
    std::cout << fmt::format("{}{}: {}\n", o.folder, r.model_type.empty() ? "" : " (" + r.model_type + ")",
                             r.verdict == Verdict::unproved ? "nothing to compare with" : name(r.verdict));
    for (const std::string& failure : r.failures) std::cout << "  " << cleaned(failure) << '\n';
    print_settings(r);
    print_files(r);
    print_texts(r);
    if (!o.save_golden.empty()) std::cout << "\nWritten: " << cleaned(o.save_golden) << '\n';
  }
  if (r.verdict != Verdict::failed) return 0;
  std::cerr << "mlx-encoder: " << cleaned(listed(r.failures, kListedFailures, "; ")) << '\n';
  return exit_status(ErrorCode::gate);
}

}  // namespace

void add_verify(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "verify", "Check that a folder computes what it computed when it was made, and show its settings");
  auto o = std::make_shared<VerifyArguments>();
  command->add_option("FOLDER", o->folder, "Model: " + kModelForms)->required();
  command->add_option("--against", o->against,
                      "A golden file (docs/verify.md) instead of the folder's own, mlx_encoder_golden.json");
  command->add_option("--save-golden", o->save_golden, "Write what the folder gives to this golden file");
  command->add_option("--engine", o->engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(at_least(0));
  command->add_flag("--strict", o->strict, "Warnings are errors");
  command->add_flag("--json", o->json, "Print one JSON object (docs/json.md)");
  command->callback([o, &run] { run = [o] { return verify_folder(*o); }; });
}

}  // namespace mlxe::cli
