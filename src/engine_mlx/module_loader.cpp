#include "engine_mlx/module_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

namespace mlxe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhatToDo =
    "run `make deps` and build with MLXE_WITH_MLX=ON, or name the module's folder in MLXE_ENGINE_DIR and "
    "libmlx's in MLXE_MLX_LIB, or use the cpu engine";
#ifdef __APPLE__
constexpr const char* kMlxLibrary = "libmlx.dylib";
#else
constexpr const char* kMlxLibrary = "libmlx.so";
#endif

std::optional<fs::path> folder_in_environment(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? std::optional<fs::path>(value) : std::nullopt;
}

fs::path program() {
#ifdef __APPLE__
  char name[4096];
  uint32_t size = sizeof name;
  if (_NSGetExecutablePath(name, &size) != 0) return {};
  const fs::path link = name;
#else
  const fs::path link = "/proc/self/exe";
#endif
  std::error_code failed;
  const fs::path path = fs::canonical(link, failed);
  return failed ? fs::path() : path;
}

std::string file_holding(const void* address) {
  Dl_info info;
  return dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

std::vector<fs::path> candidates() {
  if (const auto folder = folder_in_environment("MLXE_ENGINE_DIR")) return {*folder / kMlxModuleFile};
  std::vector<fs::path> found;
  const auto look = [&](const fs::path& folder) {
    std::error_code failed;
    const fs::path file = folder / kMlxModuleFile;
    if (fs::exists(file, failed)) found.push_back(file);
  };
  if (const fs::path exe = program(); !exe.empty()) {
    look(exe.parent_path());
    look(exe.parent_path().parent_path() / MLXE_INSTALL_LIBDIR);
  }
  look(fs::path(file_holding(reinterpret_cast<const void*>(&mlx_module))).parent_path());
  found.emplace_back(kMlxModuleFile);  // without a folder: the system's loader searches
  return found;
}

std::string last_error() {
  const char* text = dlerror();
  return text ? text : "unknown error";
}

// The loader identifies libmlx by its soname: once it is open, the module uses it, whatever the module's
// rpath is.
std::string open_named_libmlx() {
  const auto folder = folder_in_environment("MLXE_MLX_LIB");
  if (!folder || dlopen((*folder / kMlxLibrary).c_str(), RTLD_NOW | RTLD_LOCAL)) return {};
  return fmt::format("MLXE_MLX_LIB: {}; it must name the folder that holds {}", last_error(), kMlxLibrary);
}

LoadedModule absent(const std::string& reason) {
  return {.module = nullptr, .path = "", .reason = reason};
}

LoadedModule load() {
  if (std::string problem = open_named_libmlx(); !problem.empty()) return absent(problem);
  std::string problem;
  for (const fs::path& file : candidates()) {
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      if (problem.empty()) problem = last_error();  // report the first candidate's error
      continue;
    }
    // Never closed from here on: MLX has threads running in it.
    const auto factory = reinterpret_cast<MlxModuleFactory*>(dlsym(handle, kMlxModuleFactory));
    if (!factory) return absent(fmt::format("{}: has no {}; rebuild it", file.string(), kMlxModuleFactory));
    const std::string path = file_holding(reinterpret_cast<const void*>(factory));
    ModuleOutcome outcome;
    MlxModule* module = factory(&kModuleAbi, &outcome);
    if (!module) return absent(fmt::format("{}: {}", path, outcome.text));
    return {.module = module, .path = path, .reason = ""};
  }
  if (folder_in_environment("MLXE_ENGINE_DIR"))
    return absent(
        fmt::format("MLXE_ENGINE_DIR: {}; it must name the folder that holds {}", problem, kMlxModuleFile));
  return absent(fmt::format("{}; {}", problem, kWhatToDo));
}

}  // namespace

const LoadedModule& mlx_module() {
  static const LoadedModule& loaded = *new LoadedModule(load());  // outlives every static engine
  return loaded;
}

}  // namespace mlxe
