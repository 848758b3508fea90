#include "base/remove_tree.h"

#include <exception>
#include <system_error>

namespace mlxe {

bool remove_tree(const std::filesystem::path& path) noexcept {
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      std::error_code failed;
      std::filesystem::remove_all(path, failed);
      if (!failed) return true;
    } catch (const std::exception&) {  // out of memory
    }
  }
  return false;
}

}  // namespace mlxe
