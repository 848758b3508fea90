#include "hub/snapshot_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file_errors.h"
#include "base/sha256.h"
#include "format/adapter.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/weight_files.h"
#include "hub/git_hash.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Larger files are weights: opening them finds a missing end.
constexpr uint64_t kMostHashed = uint64_t{32} << 20;

bool is_hex(const std::string& text, size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// "" if a file of the model is what its blob's name tells.
std::string fault_of_file(const fs::path& snapshot, const fs::path& file) {
  const fs::path path = snapshot / file;
  if (!fs::is_symlink(path)) return {};
  const fs::path blob = fs::read_symlink(path);
  if (!fs::is_regular_file(path))
    return fmt::format("{}: is a link to {}, which is not there", path.string(), blob.filename().string());
  if (fs::file_size(path) <= kMostHashed && !has_content_of(path, blob.filename().string()))
    return fmt::format("{}: is not what its name in the cache tells, {}", path.string(),
                       blob.filename().string());
  return {};
}

// Errors: not_found, format, io (which are faults of the snapshot), others.
void open_parts(const fs::path& snapshot) {
  if (is_adapter_alone(snapshot)) {
    Adapter::read(snapshot);
    return;
  }
  if (const auto routes = encoder_routes(snapshot)) {
    for (const RouterRoute& route : routes->router.routes)
      for (const RouterModule& m : route.modules) {
        if (is_encoder(m.type) || m.type.ends_with(".Dense")) open_weight_files(snapshot / m.folder, {});
        if (m.type.ends_with("Transformer") || m.type.ends_with(".Pooling") || m.type.ends_with(".Dense"))
          read_json(snapshot / m.folder / "config.json");
      }
    return;
  }
  const fs::path transformer = transformer_path(snapshot);
  read_json(snapshot / transformer / "config.json");
  open_weight_files(snapshot / transformer, {});
  if (!fs::exists(snapshot / "modules.json")) return;
  for (const nlohmann::json& entry : read_json(snapshot / "modules.json")) {
    const Config module(entry, (snapshot / "modules.json").string());
    const auto type = module.get<std::string>("type");
    const fs::path folder = snapshot / module_folder(module);
    if (type.ends_with(".Pooling") || type.ends_with(".Dense")) read_json(folder / "config.json");
    if (type.ends_with(".Dense")) open_weight_files(folder, {});
  }
}

}  // namespace

bool has_content_of(const fs::path& file, const std::string& etag) {
  if (is_hex(etag, 64)) return sha256_hex(file) == etag;
  if (is_hex(etag, 40)) return git_blob_hash(file) == etag;
  return true;
}

SnapshotCheck check_snapshot(const RepoCache& cache, const std::string& commit) {
  const fs::path snapshot = cache.snapshot(commit);
  const ModelFiles files(snapshot);
  SnapshotCheck check;
  walk(snapshot, [&](const fs::directory_entry& entry) {
    const fs::path file = entry.path().lexically_relative(snapshot);
    if (entry.is_directory() || !files.has(file) || !check.fault.empty()) return;
    check.fault = fault_of_file(snapshot, file);
  });
  try {
    if (check.fault.empty()) open_parts(snapshot);
  } catch (const Error& error) {
    // What is whole and not implemented is reported when the model is read.
    if (error.code() != ErrorCode::unsupported) check.fault = error.what();
  }
  const auto settled = [&](const char* file) { return cache.is_settled(commit, file); };
  if (!check.fault.empty())
    check.state = SnapshotState::broken;
  else if (!std::ranges::all_of(kDecidingFiles, settled))
    check.state = SnapshotState::unsure;
  return check;
}

}  // namespace mlxe
