#include "allocate/whole_progress.h"

#include <algorithm>
#include <string>

namespace mlxe::allocate {

Progress WholeProgress::part(std::string_view stage, double work) {
  const double from = before_;
  before_ += work;
  return [this, from, work, own = std::string(stage)](std::string_view heard, uint64_t done, uint64_t total) {
    if (heard != own || total == 0) return;
    const double whole = (from + work * static_cast<double>(done) / static_cast<double>(total)) / all_;
    say(std::min(static_cast<uint64_t>(whole * static_cast<double>(kSteps)), kSteps - 1));
  };
}

}  // namespace mlxe::allocate
