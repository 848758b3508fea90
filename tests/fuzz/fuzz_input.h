// Functions shared by all fuzzers: splitting the input, and checking that a reader fails only with an Error.
#pragma once

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe::fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Readers refuse bad input only with an mlxe::Error: a short text in UTF-8, and never code internal. Any
// other exception leaves the function and crashes.
template <class Action>
void expect_result_or_error(Action action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    require(error.code() != ErrorCode::internal && !text.empty() && text.size() < 4096);
    require(first_invalid_utf8(text) == kValidUtf8 && text.find('\0') == text.npos);
  }
}

// The input split at zero bytes (JSON has none) into exactly `count` parts; the last keeps the rest.
inline std::vector<std::string_view> parts(const uint8_t* data, size_t size, size_t count) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> result;
  while (result.size() + 1 < count) {
    const size_t end = rest.find('\0');
    result.push_back(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view{} : rest.substr(end + 1);
  }
  result.push_back(rest);
  return result;
}

// A whole safetensors file with this header and `payload` zero bytes of data. (A fuzzer would not guess the
// length.)
inline std::string safetensors_around(std::string_view header, size_t payload) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i));
  return file.append(header).append(payload, '\0');
}

// A temporary folder that is removed at the end of the process.
struct Folder {
  std::filesystem::path path;

  explicit Folder(std::initializer_list<const char*> inner = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlxe-fuzz-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
    for (const char* name : inner) std::filesystem::create_directory(path / name);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

// Writes a file with this text. If the text is empty, removes the file.
inline void put(const std::filesystem::path& path, std::string_view text) {
  if (text.empty()) {
    std::filesystem::remove(path);
  } else {
    std::ofstream(path, std::ios::binary) << text;
  }
}

}  // namespace mlxe::fuzz
