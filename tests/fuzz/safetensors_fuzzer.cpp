// The container: any bytes as a file, and any bytes as the header of a well-formed one.
#include "format/safetensors.h"

#include "fuzz_input.h"

namespace {

void read_all(std::span<const std::byte> file) {
  const mlxe::TensorContent content = mlxe::parse_safetensors(file, "fuzz");
  size_t data = 0;
  for (const mlxe::TensorView& tensor : content.tensors) {
    data += tensor.data.size();
    mlxe::to_floats(tensor);  // touches every byte
  }
  mlxe::fuzz::require(data + 8 <= file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<std::byte> file(reinterpret_cast<const std::byte*>(data),
                                    reinterpret_cast<const std::byte*>(data) + size);
  mlxe::fuzz::expect_result_or_error([&] { read_all(file); });
  if (size > 0) {
    const std::string_view header(reinterpret_cast<const char*>(data), size - 1);
    const std::string whole = mlxe::fuzz::safetensors_around(header, data[size - 1]);
    const std::vector<char> exact(whole.begin(), whole.end());
    mlxe::fuzz::expect_result_or_error([&] { read_all(std::as_bytes(std::span(exact))); });
  }
  return 0;
}
