// A whole model folder: config, index, tensors and sentence modules that contradict each other.
// The input is seven parts separated by zero bytes, see `kFiles`; the last byte of the last part is the
// payload's size.
#include "format/checkpoint.h"
#include "format/sentence_modules.h"
#include "fuzz_input.h"

namespace fs = std::filesystem;
using mlxe::fuzz::expect_result_or_error;

namespace {

constexpr const char* kFiles[] = {
    "config.json",           "model.safetensors.index.json", "modules.json",     "sentence_bert_config.json",
    "1_Pooling/config.json", "2_Dense/config.json",          "model.safetensors"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder({"1_Pooling", "2_Dense"});
  const auto parts = mlxe::fuzz::parts(data, size, std::size(kFiles));
  for (size_t i = 0; i + 1 < parts.size(); ++i) mlxe::fuzz::put(folder.path / kFiles[i], parts[i]);
  const std::string_view last = parts.back();
  const std::string tensors = last.empty()
                                  ? std::string()
                                  : mlxe::fuzz::safetensors_around(last.substr(0, last.size() - 1),
                                                                   static_cast<uint8_t>(last.back()));
  mlxe::fuzz::put(folder.path / "model.safetensors", tensors);
  mlxe::fuzz::put(folder.path / "2_Dense/model.safetensors", tensors);

  const mlxe::Warning ignore = [](std::string_view) {};
  expect_result_or_error([&] {
    mlxe::Checkpoint checkpoint = mlxe::Checkpoint::open(folder.path, ignore);
    for (const char* prefix : {"", "bert"}) {
      checkpoint.canonicalize(prefix);
      for (const std::string& name : checkpoint.weight_names())
        expect_result_or_error([&] {
          const mlxe::StoredWeight weight = checkpoint.stored(name);
          uint64_t touched = 0;
          for (const auto span : {weight.codes, weight.scales, weight.biases})
            for (const std::byte b : span) touched += std::to_integer<uint64_t>(b) + 1;
          mlxe::fuzz::require(touched == weight.bytes());  // reads every byte; the payload is zeros
        });
    }
  });
  expect_result_or_error([&] { mlxe::read_sentence_modules(folder.path, ignore); });
  return 0;
}
