#include "engine_mlx/mlx_engine.h"

#include <filesystem>
#include <memory>

#include "engine_mlx/module_loader.h"

namespace mlxe {
namespace {

void check(const ModuleOutcome& outcome) {
  if (outcome.failed) throw Error(outcome.code, std::string("mlx engine: ") + outcome.text);
}

// Converts the module's outcomes back to exceptions.
class MlxEngine : public Engine {
 public:
  explicit MlxEngine(ModuleEngine* engine) : engine_(engine) {}

  WeightId add(const StoredWeight& weight) override {
    WeightId id = kNoWeight;
    check(engine_->add(weight, id));
    return id;
  }
  void run(const Model& model, const RunRequest& request, RunResult& result) override {
    result = {};
    if (request.batch.texts() == 0) return;
    check(engine_->run(model, request, result));
    check_finite(request, result);
  }
  EngineInfo info() const override {
    EngineInfo info;
    check(engine_->info(info));
    return info;
  }

 private:
  std::unique_ptr<ModuleEngine> engine_;
};

bool may_have_gpu() {
#ifdef __APPLE__
  return true;
#else
  std::error_code failed;
  return std::filesystem::exists("/proc/driver/nvidia", failed) ||
         std::filesystem::exists("/dev/dxg", failed);
#endif
}

}  // namespace

std::unique_ptr<Engine> make_mlx_engine(const EngineOptions& options) {
  const LoadedModule& loaded = mlx_module();
  if (!loaded.module)
    throw Error(ErrorCode::unsupported, "mlx engine: MLX is not available: " + loaded.reason);
  ModuleEngine* engine = nullptr;
  check(loaded.module->make(options, engine));
  return std::make_unique<MlxEngine>(engine);
}

MlxStatus mlx_status() {
  const LoadedModule& loaded = mlx_module();
  MlxStatus status;
  status.module_path = loaded.path;
  status.reason = loaded.reason;
  if (!loaded.module) return status;
  const ModuleOutcome outcome = loaded.module->status(status);
  status.available = !outcome.failed;
  if (outcome.failed) status.reason = outcome.text;
  return status;
}

bool mlx_has_gpu() noexcept {
  try {
    return may_have_gpu() && mlx_status().gpu;
  } catch (const std::exception&) {
    return false;  // out of memory: a later call reports it
  }
}

}  // namespace mlxe
