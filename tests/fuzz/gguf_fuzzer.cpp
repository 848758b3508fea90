// GGUF files: any bytes as a file, and any bytes as the keys and tensors of a small BERT. What the file says of its model is
// read as well.
#include "format/gguf_config.h"
#include "format/gguf_tokenizer.h"
#include "format/gguf_weights.h"
#include "fuzz_input.h"

namespace {

void read_all(std::string_view file) {
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<char> exact(file.begin(), file.end());
  const std::span<const std::byte> bytes = std::as_bytes(std::span(exact));
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::TensorContent content = mlxe::parse_gguf(bytes, "fuzz");
    for (const mlxe::TensorView& tensor : content.tensors) mlxe::to_floats(tensor);  // touches every byte
  });
  mlxe::fuzz::expect_result_or_error([&] { mlxe::gguf_config(mlxe::GgufFile::parse(bytes, "fuzz")); });
  mlxe::fuzz::expect_result_or_error([&] { mlxe::gguf_tokenizer(mlxe::GgufFile::parse(bytes, "fuzz"), {}); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  // The counts of keys and tensors come from the input, all else that it has no reason to guess is there.
  if (size < 2) return 0;
  std::string file("GGUF\x03\0\0\0", 8);
  for (const size_t i : {0, 1}) file.append(1, static_cast<char>(data[i] & 15)).append(7, '\0');
  read_all(file.append(input.substr(2)));
  return 0;
}
