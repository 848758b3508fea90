#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "mlx_encoder/calibration.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::array kMethods{"auto", "rtn", "mse", "gptq"};  // in the order of CalibrationMethod

}  // namespace

CalibrationMethod parse_calibration_method(std::string_view spelling) {
  for (size_t i = 0; i < kMethods.size(); ++i)
    if (spelling == kMethods[i]) return static_cast<CalibrationMethod>(i);
  throw Error(ErrorCode::usage,
              fmt::format("method: \"{}\" is unknown; use auto, rtn, mse or gptq", spelling));
}

const char* name(CalibrationMethod method) noexcept {
  return kMethods[static_cast<size_t>(method)];
}

}  // namespace mlxe
