// Finds and opens the MLX module. mlx_engine.h lists the folders.
#pragma once

#include <string>

#include "engine_mlx/module_api.h"

namespace mlxe {

struct LoadedModule {
  MlxModule* module = nullptr;
  std::string path;    // of the module's file
  std::string reason;  // why module is nullptr
};

// The first call searches for the module. Its result, found or not, holds until the process ends.
// Thread-safe.
const LoadedModule& mlx_module();

}  // namespace mlxe
