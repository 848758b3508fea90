#include "format/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/utf8.h"
#include "format/json_file.h"
#include "format/tensor_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using GgufBytes = std::span<const std::byte>;

constexpr std::string_view kGgufMagic = "GGUF";
constexpr uint32_t kFirstVersion = 2, kLastVersion = 3;
constexpr uint32_t kMostGgufDimensions = 4;  // ggml's
constexpr uint64_t kUsualAlignment = 32;

// Bytes of a value whose size is fixed; 0 for the others.
size_t fixed_size(GgufKind kind) {
  switch (kind) {
    case GgufKind::u8:
    case GgufKind::i8:
    case GgufKind::boolean:
      return 1;
    case GgufKind::u16:
    case GgufKind::i16:
      return 2;
    case GgufKind::u32:
    case GgufKind::i32:
    case GgufKind::f32:
      return 4;
    case GgufKind::u64:
    case GgufKind::i64:
    case GgufKind::f64:
      return 8;
    case GgufKind::text:
    case GgufKind::array:
      break;
  }
  return 0;
}

template <class T>
T loaded(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// A number or flag at `bytes`.
std::variant<bool, int64_t, double> fixed_value(GgufKind kind, const std::byte* bytes) {
  const auto whole = [&]<class T>(T) { return static_cast<int64_t>(loaded<T>(bytes)); };
  switch (kind) {
    case GgufKind::boolean:
      return loaded<uint8_t>(bytes) != 0;
    case GgufKind::u8:
      return whole(uint8_t());
    case GgufKind::i8:
      return whole(int8_t());
    case GgufKind::u16:
      return whole(uint16_t());
    case GgufKind::i16:
      return whole(int16_t());
    case GgufKind::u32:
      return whole(uint32_t());
    case GgufKind::i32:
      return whole(int32_t());
    case GgufKind::i64:
      return loaded<int64_t>(bytes);
    case GgufKind::u64:
      if (const auto value = loaded<uint64_t>(bytes); value >> 63 != 0) return static_cast<double>(value);
      return loaded<int64_t>(bytes);
    case GgufKind::f32:
      return static_cast<double>(loaded<float>(bytes));
    case GgufKind::f64:
      return loaded<double>(bytes);
    case GgufKind::text:
    case GgufKind::array:
      break;
  }
  return int64_t{0};
}

const char* kind_name(const GgufValue& value) {
  constexpr const char* kNames[] = {"a flag", "a whole number", "a number", "a text", "an array"};
  return kNames[value.value.index()];
}

// Reads the header from front to back.
class GgufReader {
 public:
  GgufReader(GgufBytes bytes, GgufFile& file) : bytes_(bytes), rest_(bytes), file_(file) {}

  void read() {
    require_version();
    const auto tensors = take<uint64_t>("its counts"), values = take<uint64_t>("its counts");
    for (uint64_t i = 0; i < values; ++i) read_value();
    for (uint64_t i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
  }

 private:
  void require_version() {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (text.starts_with("version https://git-lfs"))
      file_.malformed("holds the place of a file of Git LFS, not the file; download it (git lfs pull)");
    if (!text.starts_with(kGgufMagic))
      file_.malformed(fmt::format(
          "{} bytes that do not begin with \"GGUF\", expected a file of llama.cpp; is the download complete?",
          bytes_.size()));
    rest_ = rest_.subspan(kGgufMagic.size());
    const auto version = take<uint32_t>("its version");
    if (version != 0 && (version & 0xffffU) == 0)
      file_.unsupported(
          "stores numbers big end first, expected little end; convert the model again without "
          "--bigendian");
    if (version < kFirstVersion || version > kLastVersion)
      file_.unsupported(
          fmt::format("is GGUF version {}, expected {} or {}; convert the model again with a "
                      "current llama.cpp",
                      version, kFirstVersion, kLastVersion));
  }

  void read_value() {
    const std::string_view key = take_text("a key");
    if (first_invalid_utf8(key) != kValidUtf8)
      file_.malformed(fmt::format("the key {} is not UTF-8", printable(key)));
    const GgufValue value = take_value(printable(key), take_kind(printable(key)));
    if (!file_.values.emplace(key, value).second)
      file_.malformed(fmt::format("the key {} is there twice", printable(key)));
  }

  GgufKind take_kind(const std::string& what) {
    const auto kind = take<uint32_t>(what);
    if (kind > static_cast<uint32_t>(GgufKind::f64))
      file_.malformed(fmt::format("the value of {} has the type {}, expected 0 to {}", what, kind,
                                  static_cast<uint32_t>(GgufKind::f64)));
    return static_cast<GgufKind>(kind);
  }

  GgufValue take_value(const std::string& what, GgufKind kind) {
    if (kind == GgufKind::text) return {kind, take_text(what)};
    if (kind == GgufKind::array) return {kind, take_array(what)};
    const auto value = fixed_value(kind, take_bytes(fixed_size(kind), what).data());
    return std::visit([&](auto v) { return GgufValue{kind, v}; }, value);
  }

  GgufArray take_array(const std::string& what) {
    GgufArray array{take_kind(what), take<uint64_t>(what), {}};
    if (array.kind == GgufKind::array)
      file_.unsupported(
          fmt::format("the value of {} is an array of arrays, which this version can't read", what));
    if (const size_t size = fixed_size(array.kind); size > 0) {
      if (array.count > rest_.size() / size)
        file_.malformed(
            fmt::format("the value of {} has {} elements, but {} bytes are left; is the download "
                        "complete?",
                        what, array.count, rest_.size()));
      array.bytes = take_bytes(array.count * size, what);
      return array;
    }
    const GgufBytes before = rest_;
    for (uint64_t i = 0; i < array.count; ++i) take_text(what);
    array.bytes = before.first(before.size() - rest_.size());
    return array;
  }

  void read_tensor() {
    GgufTensor tensor;
    tensor.name = take_text("the name of a tensor");
    if (first_invalid_utf8(tensor.name) != kValidUtf8)
      file_.malformed(fmt::format("the tensor name {} is not UTF-8", printable(tensor.name)));
    const std::string name = printable(tensor.name);
    const auto dimensions = take<uint32_t>(name);
    if (dimensions > kMostGgufDimensions)
      file_.malformed(
          fmt::format("{} has {} dimensions, expected at most {}", name, dimensions, kMostGgufDimensions));
    for (uint32_t d = 0; d < dimensions; ++d) {
      const auto size = take<uint64_t>(name);
      if (size >> 63 != 0) file_.malformed(fmt::format("{} has the dimension {}", name, size));
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    tensor.type = take<uint32_t>(name);
    tensor.known = find_gguf_type(tensor.type);
    offsets_.push_back(take<uint64_t>(name));
    file_.tensors.push_back(std::move(tensor));
  }

  // Bytes of a tensor in the file. (Divisions first: the product of the dimensions alone may overflow.)
  uint64_t stored_bytes(const GgufTensor& tensor) const {
    const GgufType& type = *tensor.known;
    Shape blocks = tensor.shape;
    if (!blocks.empty()) {
      if (blocks.back() % type.block != 0)
        file_.malformed(fmt::format("{} is {} in blocks of {}, which do not fill its rows",
                                    printable(tensor.name), to_string(tensor.shape), type.block));
      blocks.back() /= type.block;
    } else if (type.block != 1) {
      file_.malformed(fmt::format("{} is a single value of the type {}", printable(tensor.name), type.name));
    }
    const auto bytes = checked_bytes(type.bytes, blocks);
    if (!bytes || !checked_bytes(sizeof(double), tensor.shape))
      file_.malformed(
          fmt::format("{} is {}, more than 2^63 bytes", printable(tensor.name), to_string(tensor.shape)));
    return *bytes;
  }

  void place_tensors() {
    if (file_.tensors.empty()) return;
    const auto alignment =
        static_cast<uint64_t>(file_.integer("general.alignment").value_or(kUsualAlignment));
    if (!std::has_single_bit(alignment) || alignment >> 31 != 0)
      file_.malformed(fmt::format("\"general.alignment\" is {}, expected a power of two", alignment));
    const uint64_t used = bytes_.size() - rest_.size(),
                   begin = (used + alignment - 1) / alignment * alignment;
    if (begin > bytes_.size()) file_.malformed("ends before its tensors; is the download complete?");
    const GgufBytes data = bytes_.subspan(begin);
    std::map<std::string_view, size_t> names;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;  // begin, end
    for (size_t i = 0; i < file_.tensors.size(); ++i) {
      GgufTensor& tensor = file_.tensors[i];
      const std::string name = printable(tensor.name);
      if (!names.emplace(tensor.name, i).second)
        file_.malformed(fmt::format("the tensor {} is there twice", name));
      if (!tensor.known) continue;
      const uint64_t offset = offsets_[i], size = stored_bytes(tensor);
      if (offset % alignment != 0)
        file_.malformed(fmt::format("{} begins at {}, expected a multiple of {}", name, offset, alignment));
      if (offset > data.size() || size > data.size() - offset)
        file_.malformed(
            fmt::format("{} has {} bytes from {}, but the tensors take {} bytes; is the download complete?",
                        name, size, offset, data.size()));
      tensor.data = data.subspan(offset, size);
      if (size > 0) ranges.emplace_back(offset, offset + size);
    }
    std::ranges::sort(ranges);
    for (size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].first < ranges[i - 1].second)
        file_.malformed(fmt::format("two tensors overlap at byte {} of their data", ranges[i].first));
  }

  GgufBytes take_bytes(uint64_t size, const std::string& what) {
    if (size > rest_.size()) file_.malformed(fmt::format("ends within {}; is the download complete?", what));
    const GgufBytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  template <class T>
  T take(const std::string& what) {
    return loaded<T>(take_bytes(sizeof(T), what).data());
  }
  std::string_view take_text(const std::string& what) {
    const GgufBytes text = take_bytes(take<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  GgufBytes bytes_, rest_;
  GgufFile& file_;
  std::vector<uint64_t> offsets_;  // of the tensors, from the beginning of the data
};

template <class T>
const T* value_of(const GgufFile& file, std::string_view key, const char* expected) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return nullptr;
  if (const T* found = std::get_if<T>(&value->value)) return found;
  file.malformed(fmt::format("{} is {}, expected {}", printable(key), kind_name(*value), expected));
}

}  // namespace

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const std::string& where) {
  GgufFile file{.where = where, .values = {}, .tensors = {}};
  GgufReader(bytes, file).read();
  return file;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = values.find(key);
  if (found == values.end()) return nullptr;
  asked.insert(found->first);
  return &found->second;
}

std::vector<std::string_view> GgufFile::unused_keys() const {
  std::vector<std::string_view> unused;
  for (const auto& [key, value] : values)
    if (!asked.contains(key)) unused.push_back(key);
  return unused;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &GgufTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::optional<bool> GgufFile::flag(std::string_view key) const {
  const auto* found = value_of<bool>(*this, key, "a flag");
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const auto* found = value_of<int64_t>(*this, key, "a whole number");
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<double> GgufFile::number(std::string_view key) const {
  if (const GgufValue* value = find(key); value != nullptr && std::holds_alternative<int64_t>(value->value))
    return static_cast<double>(std::get<int64_t>(value->value));
  const auto* found = value_of<double>(*this, key, "a number");
  if (found && !std::isfinite(*found))
    malformed(fmt::format("the value of {} is {}, expected a finite number", printable(key), *found));
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<std::string> GgufFile::text(std::string_view key) const {
  const auto* found = value_of<std::string_view>(*this, key, "a text");
  if (found == nullptr) return std::nullopt;
  if (first_invalid_utf8(*found) != kValidUtf8)
    malformed(fmt::format("the value of {} is not UTF-8", printable(key)));
  return std::string(*found);
}

std::optional<std::vector<std::string>> GgufFile::texts(std::string_view key) const {
  const auto* array = value_of<GgufArray>(*this, key, "an array of texts");
  if (array == nullptr) return std::nullopt;
  if (array->kind != GgufKind::text)
    malformed(fmt::format("{} is an array of another kind, expected texts", printable(key)));
  std::vector<std::string> all;
  all.reserve(array->count);  // each has 8 bytes or more in the file
  const std::byte* at = array->bytes.data();
  for (uint64_t i = 0; i < array->count; ++i) {
    const auto size = loaded<uint64_t>(at);
    const std::string_view text(reinterpret_cast<const char*>(at + 8), size);
    if (first_invalid_utf8(text) != kValidUtf8)
      malformed(fmt::format("{} of {} is not UTF-8", i, printable(key)));
    all.emplace_back(text);
    at += 8 + size;
  }
  return all;
}

std::optional<std::vector<double>> GgufFile::numbers(std::string_view key) const {
  const auto* array = value_of<GgufArray>(*this, key, "an array of numbers");
  if (array == nullptr) return std::nullopt;
  if (array->kind == GgufKind::text)
    malformed(fmt::format("{} is an array of texts, expected numbers", printable(key)));
  std::vector<double> all;
  all.reserve(array->count);
  const size_t size = fixed_size(array->kind);
  for (uint64_t i = 0; i < array->count; ++i)
    all.push_back(std::visit([](auto v) { return static_cast<double>(v); },
                             fixed_value(array->kind, array->bytes.data() + i * size)));
  if (!std::ranges::all_of(all, [](double value) { return std::isfinite(value); }))
    malformed(fmt::format("{} has NaN or infinity, expected finite numbers", printable(key)));
  return all;
}

std::string GgufFile::architecture() const {
  if (const auto name = text("general.architecture")) return *name;
  malformed("has no \"general.architecture\", which says what model it is");
}

void GgufFile::malformed(const std::string& what) const {
  throw Error(ErrorCode::format, fmt::format("{}: {}", where, what));
}

void GgufFile::unsupported(const std::string& what) const {
  throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where, what));
}

}  // namespace mlxe
