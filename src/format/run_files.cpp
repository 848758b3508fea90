#include "format/run_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "base/output_path.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using Identity = std::pair<dev_t, ino_t>;

// Of an existing regular file, links followed.
std::optional<Identity> identity(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return Identity{info.st_dev, info.st_ino};
}

struct Output {
  const RunFile& file;
  fs::path target;  // the real path
  std::optional<Identity> found;
};

[[noreturn]] void refuse(const RunFile& output, const std::string& why) {
  throw Error(ErrorCode::usage, fmt::format("{} {}: {}; name another {}", output.name, output.path.string(),
                                            why, output.kind == RunFileKind::replaced ? "folder" : "file"));
}

bool lies_inside(const fs::path& relative) {
  return !relative.empty() && *relative.begin() != "..";
}

// A pipe without a name, as a shell's `|` and `<(...)` make it, has no real path and lies nowhere.
bool lies_inside(const fs::path& file, const fs::path& folder) {
  std::error_code failed;
  const fs::path path = fs::canonical(file, failed);
  return !failed && is_within(path, folder);
}

// `input`: a folder.
void check_model(const RunFile& input, const Output& output) {
  for (const fs::path& file : files_behind_links(input.path))
    if (output.found ? output.found == identity(file) : output.target == file)
      refuse(output.file, fmt::format("is {}, which this run reads", file.string()));
  // A model whose transformer is in a folder of its own has modules.json alone.
  if (!fs::exists(input.path / "config.json") && !fs::exists(input.path / "modules.json")) return;
  const ModelFiles files(input.path);
  const auto refuse_file = [&](const fs::path& file) {
    refuse(output.file, fmt::format("is {} of the model {}, which this run reads", file.generic_string(),
                                    input.path.string()));
  };
  const fs::path relative = output.target.lexically_relative(fs::canonical(input.path));
  if (lies_inside(relative) && files.has(relative)) refuse_file(relative);
  if (!output.found) return;
  for (const fs::path& file : files.found())
    if (identity(input.path / file) == output.found) refuse_file(file);
}

void check_input(const RunFile& input, const Output& output) {
  const bool same = output.found && output.found == identity(input.path);
  if (fs::is_directory(input.path)) {
    if (output.file.kind == RunFileKind::any) check_model(input, output);
  } else if (same || (output.file.kind == RunFileKind::replaced && lies_inside(input.path, output.target))) {
    refuse(output.file, fmt::format("{} {} {}, which this run reads",
                                    same ? "is the same file as" : "would be replaced with", input.name,
                                    input.path.string()));
  }
}

void check_pair(const Output& one, const Output& other) {
  if (one.found ? one.found == other.found : one.target == other.target)
    refuse(one.file, fmt::format("is the same file as {} {}, which this run writes, too", other.file.name,
                                 other.file.path.string()));
}

}  // namespace

void require_separate_files(std::span<const RunFile> inputs, std::span<const RunFile> outputs) {
  with_file_errors([&] {
    std::vector<Output> written;
    for (const RunFile& file : outputs) {
      const std::optional<fs::path> target = regular_output(file.path);
      const fs::path path = target.value_or(file.path);  // none: a descriptor may be of a regular file
      const std::optional<Identity> found = identity(path);
      if (target || found) written.push_back({file, path, found});
    }
    for (size_t i = 0; i < written.size(); ++i) {
      for (const RunFile& input : inputs) check_input(input, written[i]);
      for (size_t j = 0; j < i; ++j) check_pair(written[i], written[j]);
    }
  });
}

}  // namespace mlxe
