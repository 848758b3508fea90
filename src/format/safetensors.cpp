#include "format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

[[noreturn]] void malformed(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::format, where + ": " + what);
}

std::optional<Dtype> dtype_of(std::string_view spelling) {
  for (int i = 0; i <= static_cast<int>(Dtype::boolean); ++i)
    if (spelling == name(static_cast<Dtype>(i))) return static_cast<Dtype>(i);
  return std::nullopt;
}

// One entry of the header, not yet checked.
struct Entry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<Shape> shape;
  std::optional<std::vector<uint64_t>> offsets;
};

// Handles the header as parser events: this detects duplicate keys, and builds no tree for a maliciously deep
// header.
//   depth 1: tensor names   depth 2: dtype, shape, data_offsets, or metadata keys   inside an array: numbers
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(const std::string& where) : where_(where) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (in_array_ || depth_ >= 2) fail("an object where none belongs");
    if (depth_ == 1 && !in_metadata_) entries.push_back({key_, {}, {}, {}});
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1) in_metadata_ = false;
    return true;
  }
  bool key(string_t& key) override {
    key_ = key;
    if (depth_ == 1) {
      if (!names_.emplace(key, 0).second)
        malformed(where_, fmt::format("the tensor {} is listed twice", printable(key)));
      in_metadata_ = key == "__metadata__";
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_) fail("a list where none belongs");
    Entry& entry = entries.back();
    if (key_ == "shape" && !entry.shape) {
      entry.shape.emplace();
    } else if (key_ == "data_offsets" && !entry.offsets) {
      entry.offsets.emplace();
    } else {
      fail("an unexpected or repeated list");
    }
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ != 2 || in_array_) fail("a string where none belongs");
    if (in_metadata_) {
      if (!metadata.emplace(key_, value).second) fail("listed twice");
    } else if (key_ == "dtype" && !entries.back().dtype) {
      entries.back().dtype = value;
    } else {
      fail("an unexpected or repeated string");
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) fail("a number where none belongs");
    if (key_ == "shape") {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) fail("a dimension past 2^63");
      entries.back().shape->push_back(static_cast<int64_t>(value));
    } else {
      entries.back().offsets->push_back(value);
    }
    return true;
  }
  bool number_integer(number_integer_t value) override { fail(fmt::format("the negative number {}", value)); }
  bool number_float(number_float_t, const string_t& text) override {
    fail(fmt::format("{}, expected a whole number below 2^64", printable(text)));
  }
  bool null() override {
    // MLX writes "__metadata__": null.
    if (depth_ != 1 || !std::exchange(in_metadata_, false)) fail("null");
    return true;
  }
  bool boolean(bool) override { fail("a true or false"); }
  bool binary(binary_t&) override { fail("binary data"); }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::json::exception&) override {
    malformed(where_,
              fmt::format("the header is not valid JSON at its byte {}; is the file complete?", byte));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const std::string tensor = depth_ < 2     ? ""
                               : in_metadata_ ? "\"__metadata__\", "
                                              : printable(entries.back().name) + ", ";
    malformed(where_, fmt::format("header, {}key {}: found {}", tensor, printable(key_), what));
  }

  const std::string& where_;
  std::unordered_map<std::string, int> names_;
  std::string key_;
  int depth_ = 0;
  bool in_array_ = false;
  bool in_metadata_ = false;
};

}  // namespace

TensorContent parse_safetensors(std::span<const std::byte> bytes, const std::string& where) {
  uint64_t length = 0;
  if (bytes.size() < 8)
    malformed(where, fmt::format("{} bytes, too short for a safetensors file; is the download complete?",
                                 bytes.size()));
  for (int i = 7; i >= 0; --i)
    length = length << 8 | std::to_integer<uint64_t>(bytes[static_cast<size_t>(i)]);
  if (length > kMaxSafetensorsHeader)
    malformed(
        where,
        fmt::format("the header claims {} bytes, more than the format's limit of {}; not a safetensors file?",
                    length, kMaxSafetensorsHeader));
  if (length > bytes.size() - 8)
    malformed(where,
              fmt::format("the header claims {} bytes, {} are left in the file; is the download complete?",
                          length, bytes.size() - 8));
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  const std::span<const std::byte> data = bytes.subspan(8 + length);
  if (header.empty() || header.front() != '{') malformed(where, "the header does not begin with \"{\"");
  if (const size_t bad = first_invalid_utf8(header); bad != kValidUtf8)
    malformed(where, fmt::format("the header is not UTF-8 at its byte {}", bad));

  HeaderHandler handler(where);
  // The strict parser accepts only spaces after the JSON value.
  nlohmann::json::sax_parse(header.begin(), header.end(), &handler);

  TensorContent content;
  content.metadata = std::move(handler.metadata);
  content.tensors.reserve(handler.entries.size());
  for (Entry& entry : handler.entries) {
    const std::string tensor = printable(entry.name);
    if (!entry.dtype || !entry.shape || !entry.offsets)
      malformed(where, fmt::format("{} has no {}", tensor,
                                   !entry.dtype   ? "\"dtype\""
                                   : !entry.shape ? "\"shape\""
                                                  : "\"data_offsets\""));
    if (entry.offsets->size() != 2)
      malformed(where, fmt::format("{}: \"data_offsets\" has {} numbers, expected 2", tensor,
                                   entry.offsets->size()));
    const uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
    if (begin > end || end > data.size())
      malformed(
          where,
          fmt::format("{}: data_offsets [{}, {}] lie outside the {} bytes of data; is the file complete?",
                      tensor, begin, end, data.size()));
    const std::optional<Dtype> dtype = dtype_of(*entry.dtype);
    if (!dtype)
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: {} has dtype {}, which this version can't read; convert it to F32, F16 or BF16",
                      where, tensor, printable(*entry.dtype)));
    const std::optional<uint64_t> expected = checked_bytes(size_of(*dtype), *entry.shape);
    if (!expected)
      malformed(where, fmt::format("{}: shape {} has more than 2^63 bytes", tensor, to_string(*entry.shape)));
    if (*expected != end - begin)
      malformed(where, fmt::format("{}: {} {} needs {} bytes, data_offsets give {}", tensor, *entry.dtype,
                                   to_string(*entry.shape), *expected, end - begin));
    content.tensors.push_back(
        {std::move(entry.name), *dtype, std::move(*entry.shape), data.subspan(begin, end - begin)});
  }

  std::stable_sort(
      content.tensors.begin(), content.tensors.end(), [](const TensorView& a, const TensorView& b) {
        return a.data.data() != b.data.data() ? a.data.data() < b.data.data() : a.data.size() < b.data.size();
      });
  const std::byte* covered = data.data();
  const TensorView* previous = nullptr;
  for (const TensorView& tensor : content.tensors) {
    if (tensor.data.data() < covered)
      malformed(where, fmt::format("{} and {} overlap", printable(previous->name), printable(tensor.name)));
    if (tensor.data.data() > covered)
      malformed(where, fmt::format("{} bytes before {} belong to no tensor", tensor.data.data() - covered,
                                   printable(tensor.name)));
    covered = tensor.data.data() + tensor.data.size();
    previous = &tensor;
  }
  if (const auto rest = data.size() - static_cast<size_t>(covered - data.data()); rest > 0)
    malformed(where, fmt::format("{} bytes after the last tensor belong to none", rest));
  return content;
}

}  // namespace mlxe
