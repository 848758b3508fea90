// How tables write numbers.
#pragma once

#include <fmt/format.h>

#include <string>

namespace mlxe {

inline std::string cosine(double c) {
  return fmt::format("{:.6f}", c);
}
inline std::string small(double x) {
  return x == 0 ? "0" : fmt::format("{:.2e}", x);
}
inline std::string ms(double x) {
  return fmt::format("{:.{}f}", x, x < 10 ? 2 : 0);
}
inline std::string percent(double fraction) {
  return fmt::format("{:.2f} %", 100 * fraction);
}

}  // namespace mlxe
