// The edge between the library and the MLX module: one factory function and two abstract interfaces.
//
// Nothing is thrown across it: every method is noexcept and says what went wrong in an ModuleOutcome. The types
// that cross it are the library's own, so both sides must come from one build of one version; the factory
// compares ModuleAbi before anything else is touched.
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
  char text[1024] = "";  // a fixed size, so that telling of an empty heap needs no heap

  static ModuleOutcome failure(ErrorCode code, std::string_view what) noexcept {
    ModuleOutcome outcome{.failed = true, .code = code};
    std::copy_n(what.data(), std::min(what.size(), sizeof outcome.text - 1), outcome.text);
    return outcome;
  }
};

// The headers' hash tells two builds apart whose types have one size and another meaning; the sizes, one source built
// with other options.
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
  virtual ModuleOutcome status(MlxStatus& status) noexcept = 0;  // all but module_path
  virtual ModuleOutcome make(const EngineOptions& options,
                             ModuleEngine*& engine) noexcept = 0;  // caller deletes
};

// The module is a static object of the module; nullptr, with the reason in `outcome`, when the two don't
// match.
using MlxModuleFactory = MlxModule*(const ModuleAbi* host, ModuleOutcome* outcome) noexcept;
inline constexpr const char* kMlxModuleFactory = "mlxe_mlx_engine_v1";
inline constexpr const char* kMlxModuleFile = "libmlxe_engine_mlx.so";

}  // namespace mlxe
