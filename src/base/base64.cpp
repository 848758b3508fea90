#include "base/base64.h"

#include <cstdint>

#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"

namespace mlxe {

std::string base64(std::span<const std::byte> bytes) {
  MlxeString text{}, error{};
  const int status = mlxe_base64(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &text, &error);
  const MlxeString& filled = status == MLXE_OK ? text : error;
  std::string result(filled.data, filled.size);
  mlxe_free_string(filled);
  if (status != MLXE_OK) throw Error(ErrorCode::internal, "base64: " + result);
  return result;
}

}  // namespace mlxe
