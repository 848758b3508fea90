// An adapter of a small model: adapter_config.json, a zero byte, the header of its tensors, the size of their data.
#include "format/checkpoint.h"
#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder({"mlx_encoder_adapter_1"});
  static const bool made = [] {
    mlxe::fuzz::put(folder.path / "config.json", R"({"model_type": "bert", "architectures": ["BertModel"]})");
    mlxe::fuzz::put(folder.path / "model.safetensors",
                    mlxe::fuzz::safetensors_around(
                        R"({"bert.q.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                        R"("bert.q.bias":{"dtype":"F16","shape":[2],"data_offsets":[24,28]}})",
                        28));
    return true;
  }();
  mlxe::fuzz::require(made);
  const auto parts = mlxe::fuzz::parts(data, size, 2);
  mlxe::fuzz::put(folder.path / "mlx_encoder_adapter_1/adapter_config.json", parts[0]);
  const std::string_view last = parts[1];
  mlxe::fuzz::put(folder.path / "mlx_encoder_adapter_1/adapter_model.safetensors",
                  last.empty() ? std::string()
                               : mlxe::fuzz::safetensors_around(last.substr(0, last.size() - 1),
                                                                static_cast<uint8_t>(last.back())));
  mlxe::fuzz::expect_result_or_error([&] {
    mlxe::Checkpoint checkpoint = mlxe::Checkpoint::open(folder.path, [](std::string_view) {});
    checkpoint.canonicalize("bert");
    checkpoint.merge_adapters();
    for (const mlxe::CheckpointTensor& tensor : checkpoint.tensors())
      mlxe::to_floats(tensor.view);  // touches every byte
  });
  return 0;
}
