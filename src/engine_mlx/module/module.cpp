// The module's factory, and the function that converts exceptions to outcomes.
#include <dlfcn.h>
#include <fmt/format.h>

#include <memory>

#include "engine_mlx/module/mlx_thread.h"
#include "engine_mlx/module/ops.h"
#include "engine_mlx/module_api.h"
#include "models/forward.h"

namespace mlxe {
namespace {

template <class Action>
ModuleOutcome guarded(Action action) noexcept {
  try {
    MlxThread::instance().run(action);
    return {};
  } catch (const Error& error) {
    return ModuleOutcome::failure(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return ModuleOutcome::failure(ErrorCode::io, "out of memory; use smaller batches");
  } catch (const std::exception& error) {
    return ModuleOutcome::failure(ErrorCode::internal, error.what());
  } catch (...) {
    return ModuleOutcome::failure(ErrorCode::internal, "MLX threw something that is no std::exception");
  }
}

const char* kind(const mx::Device& device) {
  return device == mx::Device::gpu ? "gpu" : "cpu";
}

class MlxModuleEngine : public ModuleEngine {
 public:
  explicit MlxModuleEngine(const EngineOptions& options)
      : threads_(options.threads),
        on_cpu_(mx::default_device() == mx::Device::cpu),
        weights_(std::make_unique<MlxWeights>(on_cpu_)) {}

  ~MlxModuleEngine() override {
    const ModuleOutcome outcome = guarded([this] {
      tables_.reset();
      weights_.reset();
      mx::clear_cache();
    });
    if (!outcome.failed) return;  // without MLX's thread (after a fork) they can't be freed
    (void)tables_.release();
    (void)weights_.release();
  }

  ModuleOutcome add(const StoredWeight& weight, WeightId& id) noexcept override {
    return guarded([&] { id = weights_->add(weight); });
  }

  ModuleOutcome run(const Model& model, const RunRequest& request, RunResult& result) noexcept override {
    return guarded([&] {
      compute_tables(model.plan);
      MlxOps ops(*weights_, request.batch);
      forward(ops, model, *tables_, request, result);
    });
  }

  ModuleOutcome info(EngineInfo& info) noexcept override {
    return guarded([&] {
      info.engine = "mlx";
      info.variant = fmt::format("MLX {}, {} device", mx::version(), kind(mx::default_device()));
      info.notes = weights_->notes();
      if (on_cpu_ && threads_ > 1)
        info.notes.push_back(
            fmt::format("MLX's CPU backend uses one thread, not the {} asked for", threads_));
    });
  }

 private:
  void compute_tables(const Plan& plan) {
    if (tables_) return;
    const Batch no_texts;
    MlxOps ops(*weights_, no_texts);
    auto tables = std::make_unique<std::vector<mx::array>>(run_tables(ops, plan, plan.whole));
    mx::eval(*tables);
    tables_ = std::move(tables);
  }

  int threads_;
  bool on_cpu_;
  std::unique_ptr<MlxWeights> weights_;
  std::unique_ptr<std::vector<mx::array>> tables_;  // of the model, from its first run on
};

std::string device_name(const mx::Device& device) {
  for (const char* key : {"device_name", "architecture"})
    if (const auto it = mx::device_info(device).find(key); it != mx::device_info(device).end())
      if (const auto* text = std::get_if<std::string>(&it->second)) return *text;
  return "";
}

std::string library_path() {
  Dl_info info;
  return dladdr(reinterpret_cast<const void*>(&mx::version), &info) ? info.dli_fname : "";
}

class Module : public MlxModule {
 public:
  ModuleOutcome status(MlxStatus& status) noexcept override {
    return guarded([&] {
      status.version = mx::version();
      status.gpu = mx::is_available(mx::Device::gpu);
      status.device = kind(mx::default_device());
      status.library_path = library_path();
      for (const auto type : {mx::Device::cpu, mx::Device::gpu})
        for (int i = 0; i < mx::device_count(type); ++i)
          status.devices.push_back({kind(mx::Device(type)), device_name(mx::Device(type, i))});
    });
  }

  ModuleOutcome make(const EngineOptions& options, ModuleEngine*& engine) noexcept override {
    return guarded([&] { engine = new MlxModuleEngine(options); });
  }
};

}  // namespace
}  // namespace mlxe

#define MLXE_TEXT_OF(x) #x
#define MLXE_TEXT(x) MLXE_TEXT_OF(x)
#define MLXE_MLX_VERSION \
  MLXE_TEXT(MLX_VERSION_MAJOR) "." MLXE_TEXT(MLX_VERSION_MINOR) "." MLXE_TEXT(MLX_VERSION_PATCH)

extern "C" __attribute__((visibility("default"))) mlxe::MlxModule* mlxe_mlx_engine_v1(
    const mlxe::ModuleAbi* host, mlxe::ModuleOutcome* outcome) noexcept {
  using mlxe::ErrorCode;
  using mlxe::ModuleOutcome;
  static mlxe::Module module;
  if (*host != mlxe::kModuleAbi) {
    *outcome = ModuleOutcome::failure(ErrorCode::unsupported,
                                      "belongs to another build of mlx-encoder; install both from one build");
    return nullptr;
  }
  // MLX has no stable C++ interface: the loaded library must be the version of the headers.
  if (!std::string_view(mlx::core::version()).starts_with(MLXE_MLX_VERSION)) {
    *outcome = ModuleOutcome::failure(
        ErrorCode::unsupported,
        "was built with MLX " MLXE_MLX_VERSION
        ", found another version; rebuild it or name the right folder in MLXE_MLX_LIB");
    return nullptr;
  }
  return &module;
}
