#include "convert/provenance.h"

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;
constexpr int kVersionOfFile = 1;

json to_json(const Fingerprints& prints) {
  json object = json::object();
  for (const auto& [file, print] : prints)
    object[provenance_name(file)] = {{"bytes", print.bytes}, {"sha256", print.sha256}};
  return object;
}

Fingerprints from_json(const json& object) {
  Fingerprints prints;
  for (const auto& [file, print] : object.items())
    prints[provenance_path(file)] = {print.at("bytes").get<uint64_t>(),
                                     print.at("sha256").get<std::string>()};
  return prints;
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
              {"source", to_json(source)},
              {"output", to_json(output)}}
             .dump(2) +
         "\n";
}

std::optional<Provenance> Provenance::read(const fs::path& folder) {
  if (!fs::exists(folder / kProvenanceFile)) return std::nullopt;
  try {
    const json object = read_json(folder / kProvenanceFile);
    if (object.at("version") != kVersionOfFile) return std::nullopt;
    return Provenance{object.at("plan").get<std::string>(), from_json(object.at("source")),
                      from_json(object.at("output"))};
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool Provenance::intact(const fs::path& folder) const {
  for (const auto& [file, print] : output) {
    std::error_code error;
    if (fs::file_size(folder / file, error) != print.bytes || error) return false;
    if (sha256_hex(folder / file) != print.sha256) return false;
  }
  return !output.empty();
}

}  // namespace mlxe
