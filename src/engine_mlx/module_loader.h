// Finds and opens the MLX module; mlx_engine.h says where it is looked for.
#pragma once

#include <string>

#include "engine_mlx/module_api.h"

namespace mlxe {

struct LoadedModule {
  MlxModule* module = nullptr;
  std::string path;    // of the module's file
  std::string reason;  // why module is nullptr
};

// The first call searches; its answer, found or not, holds for the life of the process. Thread-safe.
const LoadedModule& mlx_module();

}  // namespace mlxe
