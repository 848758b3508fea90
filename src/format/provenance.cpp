#include "format/provenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/sha256.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;
constexpr int kVersionOfFile = 1;

json prints_to_json(const Fingerprints& prints) {
  json object = json::object();
  for (const auto& [file, print] : prints)
    object[provenance_name(file)] = {{"bytes", print.bytes}, {"sha256", print.sha256}};
  return object;
}

[[noreturn]] void damaged_record(const std::string& where, const std::string& what) {
  throw Error(
      ErrorCode::format,
      fmt::format(
          "{}: {}; the file is damaged, so that nothing can be compared with it: convert again, or remove it",
          where, what));
}

const json& required(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) damaged_record(where, fmt::format("\"{}\" is missing", key));
  return *found;
}

bool is_sha256(const json& value) {
  if (!value.is_string()) return false;
  const auto& digits = value.get_ref<const std::string&>();
  return digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == digits.npos;
}

// Whether the name is of a file inside the folder.
bool is_inside(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && name.find('\0') == name.npos && path.is_relative() &&
         std::ranges::none_of(path, [](const fs::path& part) { return part == ".."; });
}

Fingerprints read_prints(const json& object, const char* key, const std::string& where) {
  const json& files = required(object, key, where);
  if (!files.is_object())
    damaged_record(where, fmt::format("\"{}\" is {}, expected an object", key, shown(files)));
  Fingerprints prints;
  for (const auto& [file, print] : files.items()) {
    if (!is_inside(file))
      damaged_record(where,
                     fmt::format("\"{}\" names {}, expected a file of the folder", key, printable(file)));
    if (!print.is_object() || !print.contains("bytes") || !print["bytes"].is_number_unsigned() ||
        !print.contains("sha256") || !is_sha256(print["sha256"]))
      damaged_record(
          where, fmt::format("{} is {}, expected \"bytes\" and \"sha256\"", printable(file), shown(print)));
    prints[provenance_path(file)] = {print["bytes"].get<uint64_t>(), print["sha256"].get<std::string>()};
  }
  return prints;
}

// How the file differs from its record. Empty if it does not.
std::string change_of(const fs::path& file, const Fingerprint& recorded, FileCheck check) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return fmt::format("is missing, but {} records it", kProvenanceFile);
  const uint64_t bytes = fs::file_size(file, error);
  if (error) throw Error(ErrorCode::io, fmt::format("{}: {}", file.string(), error.message()));
  if (bytes != recorded.bytes)
    return fmt::format("{} bytes, {} records {}", bytes, kProvenanceFile, recorded.bytes);
  if (check == FileCheck::content && sha256_hex(file) != recorded.sha256)
    return fmt::format("its SHA-256 is not the one {} records", kProvenanceFile);
  return {};
}

}  // namespace

Fingerprints fingerprints(const fs::path& folder, const std::vector<std::string>& files) {
  Fingerprints prints;
  for (const std::string& file : files)
    prints[file] = {fs::file_size(folder / file), sha256_hex(folder / file)};
  return prints;
}

std::string Provenance::text() const {
  return json{{"version", kVersionOfFile},
              {"tool", std::string("mlx-encoder ") + kVersion},
              {"plan", plan},
              {"source", prints_to_json(source)},
              {"output", prints_to_json(output)}}
             .dump(2) +
         "\n";
}

Provenance Provenance::parse(std::string_view text, const std::string& where) {
  const json object = parse_json(text, where);
  if (!object.is_object()) damaged_record(where, fmt::format("found {}, expected an object", shown(object)));
  if (const json& version = required(object, "version", where); version != kVersionOfFile)
    throw Error(ErrorCode::unsupported, fmt::format("{}: \"version\" is {}, expected {}; another version of "
                                                    "mlx-encoder wrote it",
                                                    where, shown(version), kVersionOfFile));
  const json& plan = required(object, "plan", where);
  if (!plan.is_string()) damaged_record(where, fmt::format("\"plan\" is {}, expected a string", shown(plan)));
  return {plan.get<std::string>(), read_prints(object, "source", where),
          read_prints(object, "output", where)};
}

std::optional<Provenance> Provenance::read(const fs::path& folder) {
  const fs::path file = folder / kProvenanceFile;
  std::error_code unreadable;
  if (!fs::is_regular_file(file, unreadable)) return std::nullopt;
  const MappedFile mapped(file);
  return parse({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file.string());
}

std::vector<std::string> Provenance::changes(const fs::path& folder, FileCheck check) const {
  std::vector<std::string> sentences;
  for (const auto& [file, recorded] : output)
    if (const std::string what = change_of(folder / file, recorded, check); !what.empty())
      sentences.push_back(
          fmt::format("{}: {}; the folder changed after the conversion: convert again, or remove {} and {} "
                      "if the change is "
                      "meant",
                      (folder / file).string(), what, kProvenanceFile, kGoldenFile));
  return sentences;
}

std::vector<std::string> changes_since_conversion(const fs::path& folder, FileCheck check) {
  try {
    const std::optional<Provenance> recorded = Provenance::read(folder);
    return recorded ? recorded->changes(folder, check) : std::vector<std::string>{};
  } catch (const Error& error) {
    return {error.what()};
  }
}

}  // namespace mlxe
