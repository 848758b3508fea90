// Files of numpy.savez: any bytes as a file, and any bytes as the only member of a well-formed archive.
#include "format/npz_file.h"

#include "fuzz_input.h"

namespace {

using namespace std::string_literals;

void read_all(std::string_view file) {
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<char> exact(file.begin(), file.end());
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::TensorContent content = mlxe::parse_npz(std::as_bytes(std::span(exact)), "fuzz");
    for (const mlxe::TensorView& tensor : content.tensors) mlxe::to_floats(tensor);  // touches every byte
  });
}

std::string number(size_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  read_all(input);
  // What a local header and the directory say alike: stored, no checksum, the sizes, the length of the name.
  const std::string facts = "\x14\0\0\0\0\0\0\0\0\0"s + number(0, 4) + number(size, 4) + number(size, 4) +
                            number(5, 2) + number(0, 2);
  const std::string entry = "PK\x03\x04" + facts + "a.npy" + input;
  const std::string directory = "PK\x01\x02\x14\0"s + facts + std::string(14, '\0') + "a.npy";
  read_all(entry + directory + "PK\x05\x06\0\0\0\0\x01\0\x01\0"s + number(directory.size(), 4) +
           number(entry.size(), 4) + number(0, 2));
  return 0;
}
