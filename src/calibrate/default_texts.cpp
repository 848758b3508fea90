// data/calibration.txt: a text a line, or two of a pair with a tab between them.
#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "mlx_encoder/calibration.h"

namespace mlxe {
namespace {

constexpr std::string_view kLines =
#include "calibration_text.inc"
    ;

}  // namespace

std::vector<TextInput> default_calibration_texts() {
  std::vector<TextInput> texts;
  for (size_t begin = 0; begin < kLines.size();) {
    const size_t end = std::min(kLines.find('\n', begin), kLines.size());
    const std::vector<std::string> cells = split_tabs(kLines.substr(begin, end - begin));
    texts.push_back({.text = cells[0], .pair = {}});
    if (cells.size() > 1) texts.back().pair = cells[1];
    begin = end + 1;
  }
  return texts;
}

}  // namespace mlxe
