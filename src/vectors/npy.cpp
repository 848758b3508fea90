#include "vectors/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kHeaderBytes = 128;  // a multiple of 64 with room for any number of rows
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kMostSide = int64_t{1} << 26;  // rows or columns of a matrix that is read

constexpr std::array kTypes{std::pair(Dtype::f32, "<f4"), std::pair(Dtype::f64, "<f8"),
                            std::pair(Dtype::f16, "<f2"), std::pair(Dtype::i8, "|i1"),
                            std::pair(Dtype::u8, "|u1")};

// Reads the parts of one file; every error names it.
class NpyReader {
 public:
  NpyReader(const std::filesystem::path& path, std::string_view bytes) : path_(path), rest_(bytes) {}

  NpyMatrix read() {
    const std::string_view header = read_header();
    NpyMatrix matrix;
    const std::string_view type = quoted(after(header, "'descr':"));
    if (type != "<f4" && type != "<f8")
      refuse(fmt::format("its type is {}, expected float32 or float64 ('<f4' or '<f8')", printable(type)));
    matrix.dtype = type == "<f4" ? Dtype::f32 : Dtype::f64;
    if (!after(header, "'fortran_order':").starts_with("False"))
      refuse("it is in Fortran's order; save numpy.ascontiguousarray of it");
    std::tie(matrix.rows, matrix.columns) = shape(after(header, "'shape':"));
    const size_t size = size_of(matrix.dtype);
    // No overflow: each is at most kMostSide.
    if (static_cast<uint64_t>(matrix.rows) * static_cast<uint64_t>(matrix.columns) * size != rest_.size())
      refuse(fmt::format("has {} bytes of values, its shape is [{}, {}] of {} bytes each", rest_.size(),
                         matrix.rows, matrix.columns, size));
    for (size_t at = 0; at < rest_.size(); at += size)
      matrix.values.push_back(matrix.dtype == Dtype::f32 ? value_at<float>(at) : value_at<double>(at));
    return matrix;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::format, fmt::format("{}: {}", path_.string(), why));
  }

  std::string_view take(size_t count) {
    if (count > rest_.size()) refuse("ends inside the header of an .npy file");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view read_header() {
    if (!rest_.starts_with(kMagic)) refuse("is no .npy file");
    const std::string_view start = take(kMagic.size() + 2);
    const bool first_version = start[kMagic.size()] == 1;
    size_t length = 0;
    const std::string_view bytes = take(first_version ? 2 : 4);
    for (size_t i = 0; i < bytes.size(); ++i)
      length |= size_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return take(length);
  }

  // What follows `key` in the header, without leading blanks.
  std::string_view after(std::string_view header, std::string_view key) const {
    const size_t found = header.find(key);
    if (found == header.npos) refuse(fmt::format("its header has no {}", key.substr(0, key.size() - 1)));
    std::string_view text = header.substr(found + key.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
    return text;
  }

  static std::string_view quoted(std::string_view text) {
    if (!text.starts_with('\'')) return text.substr(0, text.find(','));  // a type with fields
    text.remove_prefix(1);
    return text.substr(0, text.find('\''));
  }

  std::pair<int64_t, int64_t> shape(std::string_view text) const {
    const std::string_view inside = text.substr(0, text.find(')'));
    int64_t values[2] = {};
    const char *at = inside.data(), *end = inside.data() + inside.size();
    bool good = inside.starts_with('(');
    if (good) ++at;
    for (int i = 0; good && i < 2; ++i) {
      while (at != end && (*at == ' ' || (i == 1 && *at == ','))) ++at;
      const auto [next, error] = std::from_chars(at, end, values[i]);
      good = error == std::errc() && values[i] >= 0 && values[i] <= kMostSide;
      at = next;
    }
    while (good && at != end && (*at == ' ' || *at == ',')) ++at;
    if (!good || at != end)
      refuse(fmt::format("its shape is {}), expected two dimensions", printable(inside)));
    return {values[0], values[1]};
  }

  template <class T>
  double value_at(size_t at) const {
    T value;
    std::memcpy(&value, rest_.data() + at, sizeof(value));
    return value;
  }

  const std::filesystem::path& path_;
  std::string_view rest_;
};

}  // namespace

std::string npy_header(const std::string& type, const std::string& shape) {
  std::string text(kMagic);
  text += std::string("\x01\x00", 2);
  const size_t dictionary = kHeaderBytes - 10;
  text += static_cast<char>(dictionary & 0xff);
  text += static_cast<char>(dictionary >> 8);
  text += fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", type, shape);
  text.resize(kHeaderBytes - 1, ' ');
  return text + '\n';
}

std::string npy_header(Dtype dtype, int64_t rows, int64_t columns) {
  const auto type = std::ranges::find(kTypes, dtype, &decltype(kTypes)::value_type::first);
  return npy_header(type->second, fmt::format("({}, {})", rows, columns));
}

NpyMatrix parse_npy(const std::filesystem::path& path, std::string_view bytes) {
  return NpyReader(path, bytes).read();
}

}  // namespace mlxe
