// std::filesystem throws an exception of its own (permission denied, a name too long); ours is mlxe::Error.
#pragma once

#include <filesystem>

#include "mlx_encoder/error.h"

namespace mlxe {

// Runs `action` and gives back its result; a filesystem_error becomes Error(io) with the path and the reason.
template <class Action>
decltype(auto) with_file_errors(Action&& action) {
  try {
    return action();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorCode::io, error.path1().string() + ": " + error.code().message());
  }
}

}  // namespace mlxe
