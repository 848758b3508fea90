#include "base/made_folders.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

MadeFolders::MadeFolders(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  for (fs::path p = folder_; !fs::exists(p, error) && p != p.parent_path(); p = p.parent_path()) ++made_;
  fs::create_directories(folder_, error);
  if (!error) return;
  remove_empty();
  throw Error(ErrorCode::io, fmt::format("{}: can't be created: {}", folder_.string(), error.message()));
}

MadeFolders::~MadeFolders() {
  remove_empty();
}

void MadeFolders::remove_empty() noexcept {
  fs::path p = folder_;
  std::error_code failed;
  for (; made_ > 0 && !failed; --made_, p = p.parent_path()) fs::remove(p, failed);  // not empty: it stays
}

}  // namespace mlxe
