// What can be said about MLX on this machine. The engine itself is made by make_mlx_engine,
// and mlx_has_gpu asks for a GPU without loading anything where there can't be one (both: models/engine.h).
//
// MLX lives behind a module, libmlxe_engine_mlx.so, loaded on the first call of anything below and never
// unloaded (MLX's worker threads run in it until the process ends). Looked for in this order:
//   1. the folder named by MLXE_ENGINE_DIR, and then nowhere else;
//   2. the program's folder, then its ../lib;
//   3. the folder of whatever this library is linked into (a Python module, say);
//   4. where the system's loader looks: the program's rpath, LD_LIBRARY_PATH, the system's folders.
// libmlx itself: the folder named by MLXE_MLX_LIB if set, else the module's rpath (the wheel it was built
// with). libmlx finds its BLAS relative to its own folder: name the folder it was installed in, don't copy
// it.
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
  std::string device;              // where the engine would run: "cpu", "gpu"
  std::vector<MlxDevice> devices;  // all MLX sees
  std::string module_path;         // libmlxe_engine_mlx.so
  std::string library_path;        // libmlx
  std::string reason;              // why it is not available, and what to do
};

// Loads the module. Never throws for absence: that is what `reason` is for. Thread-safe.
MlxStatus mlx_status();

}  // namespace mlxe
