#include "conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "base/wording.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "report/json_parts.h"

namespace mlxe::cli {
namespace {

nlohmann::json to_json(const Conversion& result, Written written) {
  const ConversionPlan& plan = result.plan;
  nlohmann::json tensors = nlohmann::json::array();
  for (const PlannedTensor& t : plan.tensors)
    tensors.push_back(
        {{"name", t.name},
         {"source", t.source},
         {"shape", t.shape},
         {"role", t.role},
         {"scheme", t.scheme.mode == Mode::none && !is_float(t.scheme.dtype) ? name(t.scheme.dtype)
                                                                             : to_string(t.scheme)},
         {"mode", name(t.scheme.mode)},
         {"bits",
          t.scheme.mode == Mode::none ? static_cast<int>(8 * size_of(t.scheme.dtype)) : t.scheme.bits},
         {"group_size", t.scheme.group_size},
         {"bytes", t.bytes},
         {"reason", t.reason}});
  nlohmann::json files = nlohmann::json::array(), dropped = nlohmann::json::array();
  for (const auto& [file, bytes] : plan.files) files.push_back({{"name", file}, {"bytes", bytes}});
  for (const auto& [tensor, why] : plan.dropped) dropped.push_back({{"name", tensor}, {"reason", why}});
  nlohmann::json object{{"output", result.folder.string()},
                        {"predicted_bytes", plan.predicted_bytes},
                        {"folder_bytes", plan.folder_bytes},
                        {"source_bytes", plan.source_bytes},
                        {"parameters", plan.parameters},
                        {"bits_per_weight", plan.bits_per_weight},
                        {"dry_run", written == Written::no},
                        {"skipped", result.skipped},
                        {"files", files},
                        {"tensors", tensors},
                        {"dropped", dropped},
                        {"warnings", plan.warnings},
                        {"notes", plan.notes}};
  if (!result.calibration.empty()) {
    nlohmann::json entries = nlohmann::json::array();
    for (const TensorCalibration& t : result.calibration)
      entries.push_back(
          {{"name", t.name}, {"method", t.method}, {"rtn_error", t.rtn_error}, {"error", t.error}});
    object["calibration"] = entries;
  }
  object["bytes"] = written == Written::no ? nlohmann::json() : nlohmann::json(result.bytes);
  return object;
}

nlohmann::json to_json(const Trial& t) {
  return {{"bytes", t.bytes},
          {"bits_per_weight", t.bits},
          {"predicted", t.predicted},
          {"metric", t.measured.metric},
          {"cost", t.measured.cost},
          {"relative_error",
           t.measured.relative_error > 0 ? nlohmann::json(t.measured.relative_error) : nlohmann::json()},
          {"flips", t.measured.labels ? nlohmann::json(t.measured.flips) : nlohmann::json()},
          {"rows", t.measured.rows}};
}

nlohmann::json to_json(const TargetedConversion& result) {
  nlohmann::json object = to_json(result.chosen);
  object["option"] = option_of(result.target.kind);
  object["wanted"] = result.target.value;
  object["texts"] = result.texts;
  object["held_out_texts"] = result.held_out_texts;
  object["rtn_sum"] = result.rtn_sum;
  object["rtn_together"] = result.rtn_together;
  object["one_width"] = result.one_width;
  object["trials"] = nlohmann::json::array();
  for (const Trial& t : result.trials) object["trials"].push_back(to_json(t));
  return object;
}

void add(const Afterwards& after, nlohmann::json& object) {
  if (after.checked) {
    object["gates"] = gates_json(after.checked->gates);
    object["unmeasured_gates"] = after.checked->unmeasured;
  }
  if (after.uploaded)
    object["uploaded"] = {
        {"url", after.uploaded->url}, {"commit", after.uploaded->commit}, {"bytes", after.uploaded->bytes}};
}

void print(const Afterwards& after) {
  if (after.uploaded)
    std::cout << fmt::format("Uploaded to {} (commit {}, {:.2f} MiB sent)\n", after.uploaded->url,
                             after.uploaded->commit.substr(0, 8), mib(after.uploaded->bytes));
}

std::string in_words(const HeldOut& m) {
  if (m.metric == "1 - cosine")
    return fmt::format("mean cosine {:.6f}, relative error {:.4g}", 1 - m.cost, m.relative_error);
  if (m.labels) return fmt::format("{:.2f} % of labels change, {} {:.4g}", 100 * m.flips, m.metric, m.cost);
  return fmt::format("{} {:.4g}", m.metric, m.cost);
}

void print_plan(const ConversionPlan& plan) {
  size_t width = 0;
  for (const PlannedTensor& t : plan.tensors) width = std::max(width, t.name.size());
  std::cout << fmt::format("{:<{}}  {:>14}  {:<26}  {:>12}  {}\n", "tensor", width, "shape", "stored as",
                           "bytes", "why");
  for (const PlannedTensor& t : plan.tensors)
    std::cout << fmt::format("{:<{}}  {:>14}  {:<26}  {:>12}  {}\n", t.name, width, to_string(t.shape),
                             to_string(t.scheme), t.bytes, t.reason);
  for (const auto& [tensor, why] : plan.dropped)
    std::cout << fmt::format("{:<{}}  not written: {}\n", tensor, width, why);
}

void print_notes(const ConversionPlan& plan) {
  for (const std::string& note : plan.notes) std::cerr << fmt::format("note: {}\n", cleaned(note));
}

void print_result(const Conversion& result, Written written) {
  const ConversionPlan& plan = result.plan;
  size_t quantized = 0;
  for (const PlannedTensor& t : plan.tensors) quantized += t.scheme.mode != Mode::none;
  std::cout << fmt::format("{}: {} of {} tensors quantized, {:.2f} bits a weight\n", result.folder.string(),
                           quantized, plan.tensors.size(), plan.bits_per_weight);
  std::cout << fmt::format(
      "{} bytes of weights ({:.2f} MiB, the source has {:.2f} MiB), {} bytes in the whole folder\n",
      plan.predicted_bytes, mib(plan.predicted_bytes), mib(plan.source_bytes), plan.folder_bytes);
  if (written == Written::no) std::cout << "Nothing was written (--dry-run).\n";
  if (result.skipped)
    std::cout
        << "The folder holds this very conversion already; nothing was written. --force writes it again.\n";
}

}  // namespace

void FolderOptions::add_to(CLI::App& command) {
  command.add_option("MODEL", model,
                     "Model: a folder, a weight file (.gguf, .onnx, .safetensors, .bin, .npz) or a name on "
                     "the hub");
  command.add_option("--model,--hf-path", model_option, "MODEL, under mlx-lm's names for it");
  command.add_option("--mlx-path", output, "Folder to write")->capture_default_str();
  command
      .add_option("--max-shard-size", shard_size,
                  "Largest size of a weight file, unless one tensor is larger: 5GB, 500MiB")
      ->capture_default_str();
  command.add_option(
      "--upload-repo", upload_repo,
      "Upload the result to this repository of the Hugging Face hub, org/name; HF_TOKEN is the token");
  command.add_option("--threads", threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(at_least(0));
  command.add_flag(
      "--allow-unknown", allow_unknown,
      "Convert a model whose layers have tensors that its architecture does not have; they are left out");
  command.add_flag("--strict", strict, "Every warning is an error");
  command.add_flag("--force", force,
                   "Replace the output folder if it holds a model, also if it holds this very conversion");
  command.add_flag("--json", json, "Print one JSON object (docs/json.md)");
}

std::filesystem::path FolderOptions::source() const {
  if (model.empty() == model_option.empty())
    throw Error(ErrorCode::usage, model.empty() ? "give the folder of the model to convert"
                                                : "the model was given twice; give it once");
  return model.empty() ? model_option : model;
}

uint64_t FolderOptions::max_shard_size() const {
  const auto bytes = parse_bytes(shard_size);
  if (!bytes)
    throw Error(ErrorCode::usage,
                fmt::format("--max-shard-size: found \"{}\", expected a size such as 5GB or "
                            "500MiB",
                            shard_size));
  return *bytes;
}

void FolderOptions::require_upload() const {
  if (!upload_repo.empty())
    mlxe::require_upload(upload_repo, {.warning = warnings(strict ? Strictness::strict : Strictness::warn)});
}

std::optional<Uploaded> FolderOptions::upload(const std::filesystem::path& folder) const {
  if (upload_repo.empty()) return std::nullopt;
  try {
    return upload_model(
        folder, upload_repo,
        {.warning = warnings(strict ? Strictness::strict : Strictness::warn), .progress = progress()});
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}; {} is complete", error.what(), folder.string()));
  }
}

void show(const Conversion& result, Written written, const FolderOptions& options, const Afterwards& after) {
  if (options.json) {
    nlohmann::json object = to_json(result, written);
    add(after, object);
    print_json(object);
    return;
  }
  if (written == Written::no) print_plan(result.plan);
  print_notes(result.plan);
  print_result(result, written);
  print(after);
}

void show(const TargetedConversion& result, Written written, const FolderOptions& options,
          const Afterwards& after) {
  if (options.json) {
    nlohmann::json object = to_json(result.conversion, written);
    add(after, object);
    object["target"] = to_json(result);
    print_json(object);
    return;
  }
  show(result.conversion, written, options, after);
  const HeldOut& m = result.chosen.measured;
  std::cout << fmt::format("{} {}: {}", option_of(result.target.kind), result.target.text, in_words(m));
  if (result.conversion.skipped) {
    std::cout << ", measured when it was made\n";
    return;
  }
  std::cout << fmt::format(", measured on {} held-out {}\n", m.rows, m.rows == 1 ? "row" : "rows");
  if (result.trials.size() > 1)
    std::cout << fmt::format("{} allocations were converted and measured{}.\n", result.trials.size(),
                             result.one_width ? "; one width for all was best" : "");
  std::cout << fmt::format(
      "Sum of the matrices' costs with round-to-nearest: {:.3g}. Measured together: {:.3g} ({}).\n",
      result.rtn_sum, result.rtn_together, m.metric);
}

}  // namespace mlxe::cli
