#include "mlx_encoder/error.h"

namespace mlxe {

int exit_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::internal:
      return 1;
    case ErrorCode::usage:
      return 2;
    case ErrorCode::gate:
      return 3;
    case ErrorCode::not_found:
      return 4;
    case ErrorCode::io:
      return 5;
    case ErrorCode::format:
      return 6;
    case ErrorCode::unsupported:
      return 7;
    case ErrorCode::numeric:
      return 8;
    case ErrorCode::strict:
      return 9;
  }
  return 1;
}

const char* name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::gate:
      return "gate";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::io:
      return "io";
    case ErrorCode::format:
      return "format";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::numeric:
      return "numeric";
    case ErrorCode::strict:
      return "strict";
  }
  return "internal";
}

}  // namespace mlxe
