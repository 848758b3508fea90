#include "base/hub_folder.h"

#include <string_view>

namespace mlxe {
namespace fs = std::filesystem;

std::string hub_name_of(const fs::path& folder) {
  constexpr std::string_view kPrefix = "models--";
  std::string before;
  for (const fs::path& step : folder.empty() ? folder : fs::absolute(folder)) {
    if (step == "snapshots" && before.starts_with(kPrefix)) {
      std::string name = before.substr(kPrefix.size());
      if (const size_t dashes = name.find("--"); dashes != name.npos) name.replace(dashes, 2, "/");
      return name;
    }
    before = step.string();
  }
  return {};
}

}  // namespace mlxe
