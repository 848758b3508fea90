// The interface between the library and the MLX module: one factory function and two abstract classes.
//
// No exception crosses the interface: every method is noexcept and reports errors in a ModuleOutcome.
// Library types cross the interface, so both sides must come from one build of one version. The factory
// compares ModuleAbi first.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "engine_mlx/mlx_engine.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "models/engine.h"
#include "module_headers_hash.h"

namespace mlxe {

struct ModuleOutcome {
  bool failed = false;
  ErrorCode code = ErrorCode::internal;
  char text[1024] = "";  // of fixed size, so that an out-of-memory error needs no memory

  static ModuleOutcome failure(ErrorCode code, std::string_view what) noexcept {
    ModuleOutcome outcome{.failed = true, .code = code};
    std::copy_n(what.data(), std::min(what.size(), sizeof outcome.text - 1), outcome.text);
    return outcome;
  }
};

// The hash of the headers detects a build whose types have the same size but another meaning. The sizes
// detect a build of the same source with other options.
using ModuleAbi = std::array<uint64_t, 12>;
inline constexpr ModuleAbi kModuleAbi{kModuleHeadersHash, kVersionMajor,        kVersionMinor,
                                      kVersionPatch,      sizeof(Model),        sizeof(RunRequest),
                                      sizeof(RunResult),  sizeof(StoredWeight), sizeof(EngineOptions),
                                      sizeof(EngineInfo), sizeof(MlxStatus),    sizeof(ModuleOutcome)};

// mlxe::Engine without exceptions.
class ModuleEngine {
 public:
  virtual ~ModuleEngine() = default;
  virtual ModuleOutcome add(const StoredWeight& weight, WeightId& id) noexcept = 0;
  virtual ModuleOutcome run(const Model& model, const RunRequest& request, RunResult& result) noexcept = 0;
  virtual ModuleOutcome info(EngineInfo& info) noexcept = 0;
};

class MlxModule {
 public:
  virtual ~MlxModule() = default;
  virtual ModuleOutcome status(MlxStatus& status) noexcept = 0;  // fills all but module_path
  virtual ModuleOutcome make(const EngineOptions& options,
                             ModuleEngine*& engine) noexcept = 0;  // caller deletes
};

// Returns a static object of the module. If library and module don't match, returns nullptr and sets the
// reason in `outcome`.
using MlxModuleFactory = MlxModule*(const ModuleAbi* host, ModuleOutcome* outcome) noexcept;
inline constexpr const char* kMlxModuleFactory = "mlxe_mlx_engine_v1";
inline constexpr const char* kMlxModuleFile = "libmlxe_engine_mlx.so";

}  // namespace mlxe
