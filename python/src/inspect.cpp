#include "mlx_encoder/inspect.h"

#include "call.h"
#include "mlx_encoder/hub.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

auto tensor_of(const InspectedTensor& t) {
  return result<"reports.InspectedTensor">(
      "name"_a = t.name, "shape"_a = nb::tuple(nb::cast(t.shape)), "mode"_a = name(t.scheme.mode),
      "bits"_a = t.scheme.mode == Mode::none ? static_cast<int>(8 * size_of(t.dtype)) : t.scheme.bits,
      "group_size"_a = t.scheme.group_size, "dtype"_a = name(t.dtype), "bytes"_a = t.bytes,
      "bits_per_weight"_a = t.bits_per_weight, "component"_a = t.component, "finding"_a = t.finding);
}

auto component_of(const ComponentSize& c) {
  return result<"reports.ComponentSize">("component"_a = c.component, "tensors"_a = c.tensors,
                                         "parameters"_a = c.parameters, "bytes"_a = c.bytes);
}

auto reader_of(const ReaderVerdict& r) {
  return result<"reports.ReaderVerdict">("reader"_a = r.reader, "version"_a = r.version, "loads"_a = r.loads,
                                         "why"_a = r.why);
}

auto inspect(const std::string& model, int threads, const nb::object& progress) {
  const auto [in, folder] = run(progress, OnInterrupt::leave, [model, threads](CallState& call) {
    const std::filesystem::path found =
        model_folder(model, {.warning = call.warning(), .progress = call.progress()});
    return std::pair(inspect_model(found, threads), found.string());
  });
  const bool to_8_bits = in.bytes_at_8_bits > 0;
  return result<"reports.Inspection">(
      "folder"_a = folder, "model_type"_a = in.model_type, "diagnosis"_a = name(in.diagnosis),
      "evidence"_a = in.evidence, "bytes"_a = in.bytes, "parameters"_a = in.parameters,
      "bits_per_weight"_a = in.bits_per_weight,
      "bytes_at_8_bits"_a = to_8_bits ? nb::cast(in.bytes_at_8_bits) : nb::none(),
      "mode_at_8_bits"_a = to_8_bits ? nb::cast(name(in.mode_at_8_bits)) : nb::none(),
      "components"_a = list_of(in.components, component_of), "heads"_a = in.heads,
      "readers"_a = list_of(in.readers, reader_of), "unknown_keys"_a = in.unknown_keys,
      "changes"_a = in.changes, "warnings"_a = in.warnings, "tensors"_a = list_of(in.tensors, tensor_of));
}

}  // namespace

void bind_inspect(nb::module_& m) {
  m.def("inspect", inspect, "model"_a, "threads"_a, "progress"_a.none(), "A reports.Inspection.");
}

}  // namespace mlxe::python
