#include "base/base64.h"

#include <cstdint>

#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {

std::string base64(std::span<const std::byte> bytes) {
  RustString text, error;
  check_rust(
      mlxe_base64(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), text.out(), error.out()),
      "base64: ", error);
  return text.str();
}

}  // namespace mlxe
