#include "format/m3_heads.h"

#include <fmt/format.h>

#include "format/json_file.h"
#include "format/torch_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// `rows`: of the matrix; empty: any number.
M3Linear read_linear(const fs::path& path, std::optional<int64_t> rows) {
  M3Linear linear{.name = path.stem().string(),
                  .weight = {},
                  .bias = {},
                  .file = std::make_shared<TensorFile>(path, parse_torch)};
  const auto refusal = [&](const std::string& found) {
    return Error(
        ErrorCode::format,
        fmt::format("{0}: {1}, expected a float weight [{2}, D] and a bias [{2}]; take the file of the "
                    "original model",
                    path.string(), found, rows ? std::to_string(*rows) : "C"));
  };
  const auto take = [&](const char* name, size_t dimensions, std::optional<int64_t> first) {
    const TensorView* view = linear.file->find(name);
    if (view == nullptr) throw refusal(fmt::format("has no {}", name));
    if (view->shape.size() != dimensions || view->shape[0] != first.value_or(view->shape[0]) ||
        element_count(view->shape) == 0 || !is_float(view->dtype))
      throw refusal(fmt::format("{} is {} {}", name, mlxe::name(view->dtype), to_string(view->shape)));
    return StoredWeight{.name = linear.name + "." + name,
                        .scheme = {.mode = Mode::none, .dtype = view->dtype},
                        .shape = view->shape,
                        .dtype = view->dtype,
                        .codes = view->data,
                        .scales = {},
                        .biases = {}};
  };
  linear.weight = take("weight", 2, rows);
  linear.bias = take("bias", 1, linear.weight.shape[0]);
  for (const TensorView& view : linear.file->tensors())
    if (view.name != "weight" && view.name != "bias") throw refusal("holds " + printable(view.name));
  return linear;
}

}  // namespace

std::optional<M3Heads> read_m3_heads(const fs::path& folder) {
  const auto& [sparse, colbert] = kM3Files;
  const bool has_sparse = fs::exists(folder / sparse), has_colbert = fs::exists(folder / colbert);
  if (!has_sparse && !has_colbert) return std::nullopt;
  if (!has_sparse || !has_colbert)
    throw Error(ErrorCode::format,
                fmt::format("{}: found {} without {}, expected both, as in bge-m3; add the other, or remove "
                            "it to run the encoder alone",
                            folder.string(), has_sparse ? sparse : colbert, has_sparse ? colbert : sparse));
  return M3Heads{.sparse = read_linear(folder / sparse, 1), .colbert = read_linear(folder / colbert, {})};
}

}  // namespace mlxe
