// Turns errors of the file system (permission denied, a name too long) into mlxe::Error.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe {

// Throws "PATH: can't be WHAT: REASON". `what`: "written", "put into place"; `error`: an errno.
[[noreturn]] inline void file_failed(const std::filesystem::path& path, const char* what, int error) {
  throw Error(ErrorCode::io, fmt::format("{}: can't be {}: {}", path.string(), what, std::strerror(error)));
}

// "/folder/file: Permission denied"
inline std::string file_error_text(const std::filesystem::filesystem_error& error) {
  std::string path = error.path1().string();
  constexpr size_t kShown = 1000;  // the error may be that a name is too long
  if (path.size() > kShown) path = cleaned(path.substr(0, kShown)) + "...";
  return path.empty() ? error.code().message() : path + ": " + error.code().message();
}

// Runs `action` and returns its result. A filesystem_error becomes Error(io) with the path and the reason.
template <class Action>
decltype(auto) with_file_errors(Action&& action) {
  try {
    return action();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorCode::io, file_error_text(error));
  }
}

// Calls `action` with each entry below `folder`. Errors: io, with the path (an iterator's own error has no
// path).
template <class Action>
void walk(const std::filesystem::path& folder, Action&& action) {
  namespace fs = std::filesystem;
  std::error_code failed;
  fs::recursive_directory_iterator entry(folder, failed), end;
  fs::path at = folder;
  for (; !failed && entry != end; entry.increment(failed)) {
    at = entry->path();
    action(*entry);
  }
  if (failed) throw Error(ErrorCode::io, at.string() + ": " + failed.message());
}

}  // namespace mlxe
