#include "convert/routed_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "base/file_errors.h"
#include "base/sha256.h"
#include "base/wording.h"
#include "convert/carried_files.h"
#include "convert/folder_texts.h"
#include "convert/model_card.h"
#include "convert/pending_conversion.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kCard = "README.md";
const std::string kNoHash(64, '0');

// A file that the model of a route has, and that belongs to the folder of the whole model.
bool is_of_the_whole(const fs::path& file) {
  return file == "modules.json" || file == kLibraryConfig || file == kCard;
}

void require_own_encoders(const EncoderRoutes& routes) {
  const std::set<fs::path> encoders(routes.encoders.begin(), routes.encoders.end());
  const char* problem = encoders.contains(fs::path()) ? "has an encoder in the folder of the Router itself"
                        : encoders.size() < routes.encoders.size() ? "has routes that share an encoder"
                                                                   : nullptr;
  if (problem == nullptr) return;
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: {}, which is not converted as a whole; convert each route with --task (task_model() in "
          "the library): {}",
          routes.folder.string(), problem, listed(routes.names(), routes.encoders.size())));
}

}  // namespace

RoutedConversion::RoutedConversion(EncoderRoutes routes, const ConvertOptions& options, Purpose purpose)
    : routes_(std::move(routes)), options_(options) {
  if (options.layout != Layout::hf)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: mlx-embeddings knows no Router; use --layout hf, or convert a route with --task",
                    routes_.folder.string()));
  require_own_encoders(routes_);
  for (size_t i = 0; i < routes_.encoders.size(); ++i) {
    ConvertOptions own = options;
    own.model = routes_.model(i);
    own.output = options.output / routes_.encoders[i];
    prepared_.push_back(prepare(own, purpose));
  }
}

// Where a file of the model of a route is in the whole folder.
fs::path RoutedConversion::place(size_t route, const fs::path& file) const {
  return file.has_parent_path() || is_of_the_whole(file) ? file : routes_.encoders[route] / file;
}

ConversionPlan RoutedConversion::plan() const {
  ConversionPlan whole;
  double bits = 0;
  for (size_t i = 0; i < prepared_.size(); ++i) {
    const ConversionPlan& own = prepared_[i].plan();
    const auto in_encoder = [&](const std::string& name) {
      return (routes_.encoders[i] / name).generic_string();
    };
    for (PlannedTensor t : own.tensors) {
      t.name = in_encoder(t.name);
      whole.tensors.push_back(std::move(t));
    }
    for (const auto& [file, bytes] : own.files) whole.files.emplace_back(in_encoder(file), bytes);
    for (const auto& [tensor, why] : own.dropped) whole.dropped.emplace_back(in_encoder(tensor), why);
    whole.predicted_bytes += own.predicted_bytes;
    whole.source_bytes += own.source_bytes;
    whole.parameters += own.parameters;
    bits += own.bits_per_weight * static_cast<double>(own.parameters);
    whole.warnings.insert(whole.warnings.end(), own.warnings.begin(), own.warnings.end());
    whole.notes.insert(whole.notes.end(), own.notes.begin(), own.notes.end());
  }
  if (whole.parameters > 0) whole.bits_per_weight = bits / static_cast<double>(whole.parameters);
  for (const fs::path& left : own_files().left_behind)
    whole.notes.push_back(fmt::format("not carried over: {}", left.string()));
  Provenance planned{.plan = kNoHash, .source = {}, .output = {}};
  for (const std::string& file : source_files())
    planned.source[file] = {fs::file_size(routes_.folder / file), kNoHash};
  for (const auto& [file, bytes] : predicted_files()) {
    whole.folder_bytes += bytes;
    planned.output[file] = {bytes, kNoHash};
  }
  whole.folder_bytes += planned.text().size() + card(whole).size();
  return whole;
}

// The files of the whole folder, which are copied as they are.
CarriedFiles RoutedConversion::own_files() const {
  SentenceModules routed;  // what the routes carry themselves
  for (size_t i = 0; i < prepared_.size(); ++i)
    for (const std::string& file : prepared_[i].source().files())
      if (const fs::path at = place(i, file); !is_of_the_whole(at)) routed.files.push_back(at);
  CarriedFiles all = find_carried_files(routes_.folder, routed, {});
  std::erase_if(all.carried, [](const CarriedFile& file) { return file.from.has_parent_path(); });
  const ModelFiles model(routes_.folder);  // a Normalize has a folder without files
  std::erase_if(all.left_behind, [&](const fs::path& left) { return model.modules().contains(left); });
  for (const fs::path& file : routes_.files)
    if (file.has_parent_path()) all.carried.push_back({file, file});
  return all;
}

std::vector<std::string> RoutedConversion::source_files() const {
  std::set<std::string> files;
  for (size_t i = 0; i < prepared_.size(); ++i)
    for (const std::string& file : prepared_[i].source().files())
      if (const fs::path at = place(i, file); fs::exists(routes_.folder / at))
        files.insert(at.generic_string());
  for (const CarriedFile& file : own_files().carried) files.insert(file.from.generic_string());
  return {files.begin(), files.end()};
}

// All but README.md and mlx_encoder.json.
std::map<std::string, uint64_t> RoutedConversion::predicted_files() const {
  std::map<std::string, uint64_t> files;
  for (size_t i = 0; i < prepared_.size(); ++i)
    for (const auto& [file, bytes] : prepared_[i].predicted_files())
      if (const fs::path at = place(i, file); !is_of_the_whole(at)) files[at.generic_string()] = bytes;
  for (const CarriedFile& file : own_files().carried)
    files[file.to.generic_string()] = fs::file_size(routes_.folder / file.from);
  return files;
}

std::string RoutedConversion::card(const ConversionPlan& plan) const {
  std::vector<std::string> types;
  for (const PreparedConversion& route : prepared_) {
    const std::string& type = route.source().model.model_type;
    if (std::ranges::find(types, type) == types.end()) types.push_back(type);
  }
  CardFacts facts = card_facts(options_);
  facts.model_type = fmt::format("{}", fmt::join(types, " + "));
  facts.sentence_model = true;
  facts.example = R"(embed --query . "a question")";
  return model_card(facts, plan);
}

std::string RoutedConversion::digest() const {
  std::string all;
  for (const PreparedConversion& route : prepared_) all += route.digest() + "\n";
  return sha256_hex(std::as_bytes(std::span(all)));
}

void RoutedConversion::report_warnings() const {
  for (const PreparedConversion& route : prepared_) route.report_warnings();
}

// Converts a route beside the folder's files and moves its files to their places.
void RoutedConversion::write_route(size_t route, const fs::path& folder, const Progress& progress,
                                   Conversion& result, Provenance& record) const {
  const fs::path alone = folder / ".route";
  {
    const FolderClaim claim(alone, IfExists::refuse);
    const Conversion done = prepared_[route].write(claim, progress).commit();
    result.bytes += done.bytes;
    for (TensorCalibration entry : done.calibration) {
      entry.name = (routes_.encoders[route] / entry.name).generic_string();
      result.calibration.push_back(std::move(entry));
    }
    for (const std::string& warning : done.plan.warnings)
      if (std::ranges::find(result.plan.warnings, warning) == result.plan.warnings.end())
        result.plan.warnings.push_back(warning);
  }
  Provenance own = Provenance::read(alone).value();
  own.output.merge(fingerprints(alone, {kProvenanceFile}));
  for (const auto& [file, print] : own.source)
    if (const fs::path at = place(route, provenance_path(file));
        fs::exists(routes_.folder / at) && !is_of_the_whole(at))
      record.source[provenance_name(at.generic_string())] = print;
  for (const auto& [file, print] : own.output) {
    const fs::path from = provenance_path(file), at = place(route, from);
    if (is_of_the_whole(at)) continue;
    fs::create_directories((folder / at).parent_path());
    fs::rename(alone / from, folder / at);
    record.output[provenance_name(at.generic_string())] = print;
  }
  fs::remove_all(alone);
}

Conversion RoutedConversion::convert(const Progress& progress) const {
  return with_file_errors([&] {
    report_warnings();
    Conversion result{.plan = plan(), .folder = options_.output, .calibration = {}};
    if (holds_conversion(options_, digest(), source_files())) {
      result.bytes = result.plan.predicted_bytes;
      result.skipped = true;
      return result;
    }
    const FolderClaim claim(options_.output, if_exists(options_.if_done), {options_.model});
    PendingFolder pending(claim);
    const fs::path& folder = pending.path();
    require_free_space(folder, result.plan.folder_bytes);
    Provenance record{.plan = digest(), .source = {}, .output = {}};
    for (size_t i = 0; i < prepared_.size(); ++i) write_route(i, folder, progress, result, record);
    const std::vector<CarriedFile> own = own_files().carried;
    copy_files(routes_.folder, folder, own);
    std::vector<std::string> copied;
    for (const CarriedFile& file : own) copied.push_back(file.to.generic_string());
    record.source.merge(fingerprints(routes_.folder, copied));
    record.output.merge(fingerprints(folder, copied));
    const std::string readme = card(result.plan);
    write_whole_file(folder / kCard, readme, Placement::fresh);
    write_whole_file(folder / kProvenanceFile, record.text(), Placement::fresh);
    result.plan.folder_bytes = readme.size() + record.text().size();  // a golden may have been left out
    for (const auto& [file, print] : record.output) result.plan.folder_bytes += print.bytes;
    if (const fs::path old = pending.commit(); !old.empty())
      result.plan.notes.push_back(fmt::format(
          "{}: is the folder that was replaced, which could not be removed; remove it", old.string()));
    return result;
  });
}

FolderConversion::FolderConversion(const ConvertOptions& options, Purpose purpose) {
  if (auto routes = encoder_routes(options.model))
    routed_.emplace(*std::move(routes), options, purpose);
  else
    single_.push_back(prepare(options, purpose));
}

void FolderConversion::report_warnings() const {
  if (routed_) return routed_->report_warnings();
  single_.front().report_warnings();
}

Conversion FolderConversion::convert(const Progress& progress) const {
  return routed_ ? routed_->convert(progress) : mlxe::convert(single_.front(), progress);
}

}  // namespace mlxe
