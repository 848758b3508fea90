// The status of MLX on this machine. make_mlx_engine (models/engine.h) creates the engine. mlx_has_gpu
// (models/engine.h) asks for a GPU; it loads nothing on systems that can't have one.
//
// MLX is used through a module, libmlxe_engine_mlx.so. It is loaded on the first call of a function below
// and never unloaded (MLX's worker threads run in it until the process ends). It is searched in this order:
//   1. the folder named by MLXE_ENGINE_DIR, and then nowhere else;
//   2. the program's folder, then its ../lib;
//   3. the folder of the file that this library is linked into (a Python module, for example);
//   4. the search path of the system's loader: the program's rpath, LD_LIBRARY_PATH, the system's folders.
// libmlx is searched in the folder named by MLXE_MLX_LIB if set, else in the module's rpath (the wheel it
// was built with). libmlx finds its BLAS relative to its own folder: name the folder it was installed in,
// don't copy it.
#pragma once

#include <string>
#include <vector>

namespace mlxe {

struct MlxDevice {
  std::string kind;  // "cpu", "gpu"
  std::string name;  // as MLX reports it; may be empty
};

struct MlxStatus {
  bool available = false;
  bool gpu = false;                // MLX can run on a GPU here
  std::string version;             // "0.32.4"
  std::string device;              // device on which the engine would run: "cpu", "gpu"
  std::vector<MlxDevice> devices;  // all devices of MLX
  std::string module_path;         // libmlxe_engine_mlx.so
  std::string library_path;        // libmlx
  std::string reason;              // why MLX is not available, and what to do
};

// Loads the module. If MLX is not available, sets `reason` instead of throwing. Thread-safe.
MlxStatus mlx_status();

}  // namespace mlxe
