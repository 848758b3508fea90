#include "calibrate/journal.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/file_errors.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace fs = std::filesystem;
namespace {

constexpr const char *kKey = "key", *kReport = "report", *kMatrix = "matrix ", *kVector = "vector ";
constexpr const char* kComponents[] = {" codes", " scales", " biases"};

nlohmann::ordered_json to_json(const TensorCalibration& entry) {
  return {
      {"name", entry.name}, {"method", entry.method}, {"rtn_error", entry.rtn_error}, {"error", entry.error}};
}

std::array<const std::vector<std::byte>*, 3> components(const QuantizedMatrix& m) {
  return {&m.codes, &m.scales, &m.biases};
}

}  // namespace

Journal::Journal(fs::path folder, std::string key) : folder_(std::move(folder)), key_(std::move(key)) {}

fs::path Journal::file(size_t step) const {
  return folder_ / fmt::format("{:04}.safetensors", step);
}

CalibratedWeights Journal::read(const std::map<std::string, Scheme>& schemes) {
  CalibratedWeights found;
  if (folder_.empty()) return found;
  std::error_code unreadable;  // counts as missing
  for (; fs::exists(file(steps_), unreadable); ++steps_) {
    try {
      const SafetensorsFile step(file(steps_));
      if (step.metadata().at(kKey) != key_) break;
      CalibratedWeights of_step;
      for (const auto& entry : parse_json(step.metadata().at(kReport), file(steps_).string())) {
        const std::string name = entry.at("name");
        of_step.report.push_back({name, entry.at("method"), entry.at("rtn_error"), entry.at("error")});
        const auto bytes = [&](const char* component) {
          const TensorView* view = step.find(kMatrix + name + component);
          if (view == nullptr) throw Error(ErrorCode::format, name + component + " is missing");
          return std::vector<std::byte>(view->data.begin(), view->data.end());
        };
        QuantizedMatrix m{
            .scheme = schemes.at(name), .rows = entry.at("rows"), .columns = entry.at("columns")};
        m.codes = bytes(kComponents[0]), m.scales = bytes(kComponents[1]), m.biases = bytes(kComponents[2]);
        if (m.codes.size() + m.scales.size() + m.biases.size() != stored_bytes(m.scheme, m.rows, m.columns))
          throw Error(ErrorCode::format, name + " has another size");
        of_step.matrices[name] = std::move(m);
      }
      for (const TensorView& t : step.tensors())
        if (t.name.starts_with(kVector))
          of_step.vectors[t.name.substr(std::string_view(kVector).size())] = to_floats(t);
      found.matrices.merge(of_step.matrices);
      found.vectors.merge(of_step.vectors);
      found.report.insert(found.report.end(), of_step.report.begin(), of_step.report.end());
    } catch (const std::exception&) {  // damaged or foreign: recompute from here on
      break;
    }
  }
  with_file_errors([&] {
    for (size_t stale = steps_; fs::exists(file(stale)); ++stale) fs::remove(file(stale));
  });
  for (const TensorCalibration& entry : found.report) matrices_.insert(entry.name);
  return found;
}

void Journal::add(const CalibratedWeights& all, const std::map<std::string, std::string>& bias_of) {
  if (folder_.empty()) return;
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  std::vector<TensorSpec> specs;
  std::vector<std::span<const std::byte>> payloads;
  const auto put = [&](std::string name, Dtype dtype, std::span<const std::byte> bytes) {
    specs.push_back({std::move(name), dtype, {static_cast<int64_t>(bytes.size() / size_of(dtype))}});
    payloads.push_back(bytes);
  };
  for (const TensorCalibration& entry : all.report) {
    if (matrices_.contains(entry.name)) continue;
    const QuantizedMatrix& m = all.matrices.at(entry.name);
    report.push_back(to_json(entry));
    report.back()["rows"] = m.rows;
    report.back()["columns"] = m.columns;
    for (size_t i = 0; i < 3; ++i) put(kMatrix + entry.name + kComponents[i], Dtype::u8, *components(m)[i]);
    if (const auto bias = bias_of.find(entry.name); bias != bias_of.end())
      put(kVector + bias->second, Dtype::f32, std::as_bytes(std::span(all.vectors.at(bias->second))));
  }
  if (report.empty()) return;
  with_file_errors([&] {
    fs::create_directories(folder_);
    SafetensorsWriter writer(file(steps_), specs, {{kKey, key_}, {kReport, report.dump()}});
    for (size_t i = 0; i < specs.size(); ++i) writer.write(specs[i].name, payloads[i]);
    writer.finish();
  });
  ++steps_;
  for (const auto& entry : report) matrices_.insert(entry.at("name").get<std::string>());
}

}  // namespace mlxe::calibrate
