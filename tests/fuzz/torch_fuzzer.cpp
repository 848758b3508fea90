// Files of torch.save: any bytes as a file, and any bytes as the state dict of a well-formed legacy file with one storage.
#include "format/torch_file.h"

#include "fuzz_input.h"

namespace {

using namespace std::string_literals;

void read_all(std::string_view file) {
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<char> exact(file.begin(), file.end());
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::TensorContent content = mlxe::parse_torch(std::as_bytes(std::span(exact)), "fuzz");
    for (const mlxe::TensorView& tensor : content.tensors) mlxe::to_floats(tensor);  // touches every byte
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  const std::string before =
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."s;
  const std::string after =
      "\x80\x02]U\x01"
      "0a.\x08"s +
      std::string(7, '\0') + std::string(64, '\1');
  read_all(before + std::string(input) + after);
  return 0;
}
