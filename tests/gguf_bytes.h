// Hand-made GGUF files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlxe::test {

template <class T>
std::string little(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
inline std::string gguf_text(std::string_view text) {
  return little<uint64_t>(text.size()) + std::string(text);
}

// Keys and values, tensors and the bytes of their data. bytes() is the file.
struct GgufBytes {
  uint32_t version = 3;
  std::vector<std::string> values, tensors;
  std::string data;
  uint64_t value_count = 0, tensor_count = 0;  // 0: as many as there are

  GgufBytes& add(std::string_view key, uint32_t kind, const std::string& value) {
    values.push_back(gguf_text(key) + little(kind) + value);
    return *this;
  }
  GgufBytes& number(std::string_view key, uint32_t value) { return add(key, 4, little(value)); }
  GgufBytes& real(std::string_view key, float value) { return add(key, 6, little(value)); }
  GgufBytes& flag(std::string_view key, bool value) { return add(key, 7, little<uint8_t>(value)); }
  GgufBytes& text(std::string_view key, std::string_view value) { return add(key, 8, gguf_text(value)); }
  GgufBytes& texts(std::string_view key, const std::vector<std::string>& all) {
    std::string value = little<uint32_t>(8) + little<uint64_t>(all.size());
    for (const std::string& one : all) value += gguf_text(one);
    return add(key, 9, value);
  }
  // `dimensions`: the fastest first, as in the file.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                    uint64_t offset) {
    std::string entry = gguf_text(name) + little(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t d : dimensions) entry += little(d);
    tensors.push_back(entry + little(type) + little(offset));
    return *this;
  }
  // A tensor of zeros of the type F32, behind those that are there.
  GgufBytes& zeros(std::string_view name, const std::vector<uint64_t>& dimensions) {
    uint64_t count = 1;
    for (const uint64_t d : dimensions) count *= d;
    tensor(name, dimensions, 0, data.size());
    data += std::string((count * 4 + 31) / 32 * 32, '\0');
    return *this;
  }
  std::string bytes() const {
    std::string file = "GGUF" + little(version) +
                       little<uint64_t>(tensor_count ? tensor_count : tensors.size()) +
                       little<uint64_t>(value_count ? value_count : values.size());
    for (const std::string& value : values) file += value;
    for (const std::string& entry : tensors) file += entry;
    file += std::string((32 - file.size() % 32) % 32, '\0');
    return file + data;
  }
};

}  // namespace mlxe::test
