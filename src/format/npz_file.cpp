#include "format/npz_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "format/json_file.h"
#include "format/zip_archive.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using NpyBytes = std::span<const std::byte>;

struct NumpyDtype {
  std::string_view type;  // past the sign of the byte order
  Dtype dtype;
};
// In the order that safetensors stores them in.
constexpr NumpyDtype kNumpyDtypes[] = {
    {"u8", Dtype::u64}, {"i8", Dtype::i64},  {"f8", Dtype::f64},     {"f4", Dtype::f32}, {"u4", Dtype::u32},
    {"i4", Dtype::i32}, {"V2", Dtype::bf16}, {"f2", Dtype::f16},     {"u2", Dtype::u16}, {"i2", Dtype::i16},
    {"i1", Dtype::i8},  {"u1", Dtype::u8},   {"b1", Dtype::boolean},
};
constexpr size_t kMostNpyDimensions = 64;  // numpy's

constexpr std::string_view kMember = ".npy";
constexpr std::string_view kNpyMagic = "\x93NUMPY";

// ---- the header of a member: a dictionary as Python writes it

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

class NpyHeaderReader {
 public:
  NpyHeaderReader(std::string_view text, const std::string& where) : rest_(text), where_(where) {}

  NpyHeader read() {
    NpyHeader header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = text();
      expect(':');
      if (key == "descr" && !std::exchange(has_descr, true)) {
        header.descr = descr();
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        header.fortran_order = boolean();
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        header.shape = shape();
      } else {
        malformed();
      }
      if (!take(',') && next() != '}') malformed();
    }
    next();
    if (!rest_.empty() || !has_descr || !has_order || !has_shape) malformed();
    return header;
  }

 private:
  [[noreturn]] void malformed() const {
    throw Error(ErrorCode::format,
                where_ +
                    ": the header is malformed, expected a dictionary of 'descr', 'fortran_order' and "
                    "'shape' as numpy writes it");
  }

  // The next character past white space; NUL at the end.
  char next() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size()));
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool take(char c) {
    if (next() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) malformed();
  }
  bool take_word(std::string_view word) {
    next();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string text() {
    const char quote = next();
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : rest_.npos;
    if (end == rest_.npos || rest_.substr(0, end).find('\\') != rest_.npos) malformed();
    std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }

  std::string descr() {
    if (next() == '[')
      throw Error(ErrorCode::unsupported,
                  where_ + ": holds records of several fields, expected an array of numbers");
    return text();
  }

  bool boolean() {
    if (take_word("True")) return true;
    if (!take_word("False")) malformed();
    return false;
  }

  Shape shape() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      if (shape.size() == kMostNpyDimensions) malformed();
      shape.push_back(number());
      if (!take(',') && next() != ')') malformed();
    }
    return shape;
  }

  int64_t number() {
    int64_t value = 0;
    const std::string_view before = (next(), rest_);
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, rest_.front() - '0', &value))
        malformed();
      rest_.remove_prefix(1);
    }
    if (rest_.size() == before.size()) malformed();
    return value;
  }

  std::string_view rest_;
  const std::string& where_;
};

// ---- a member

struct NpyMember {
  NpyHeader header;
  NpyBytes data;
};

NpyMember read_member(NpyBytes bytes, const std::string& where) {
  const auto malformed = [&](const std::string& what) {
    throw Error(ErrorCode::format, fmt::format("{}: {}", where, what));
  };
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kNpyMagic) || text.size() < 10) malformed("is no array as numpy writes it");
  const int version = static_cast<unsigned char>(text[6]);
  if (version < 1 || version > 3)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: version {} of numpy's format, expected 1, 2 or 3", where, version));
  const size_t begin = version == 1 ? 10 : 12;
  if (text.size() < begin) malformed("ends in its header");
  size_t length = 0;
  for (size_t i = begin; i-- > 8;) length = length << 8 | static_cast<unsigned char>(text[i]);
  if (length > text.size() - begin) malformed("ends in its header");
  return {NpyHeaderReader(text.substr(begin, length), where).read(), bytes.subspan(begin + length)};
}

Dtype readable_dtype(const std::string& descr, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where, what));
  };
  const char order = descr.empty() ? '\0' : descr.front();
  if (order == '>')
    refuse(fmt::format("its values ({}) lie big end first; save it on another machine", printable(descr)));
  const auto row = std::ranges::find(kNumpyDtypes, std::string_view(descr).substr(order == '\0' ? 0 : 1),
                                     &NumpyDtype::type);
  if ((order != '<' && order != '|') || row == std::end(kNumpyDtypes))
    refuse(fmt::format("dtype {}, which this version can't read; convert it to float32 or float16",
                       printable(descr)));
  return row->dtype;
}

// In elements, of an array whose first dimension varies fastest.
Shape fortran_strides(const Shape& shape) {
  Shape strides;
  int64_t stride = 1;
  for (const int64_t d : shape) {
    strides.push_back(stride);
    stride *= d;
  }
  return strides;
}

// An array with at most one dimension of more than one element lies the same in both orders.
bool has_one_order(const Shape& shape) {
  return std::ranges::count_if(shape, [](int64_t d) { return d != 1; }) <= 1;
}

// `copied_left`: bytes that copies may take. Members that share bytes would otherwise take any memory.
void add_array(TensorContent& content, std::string name, NpyBytes bytes, size_t& copied_left,
               const std::string& where) {
  const NpyMember member = read_member(bytes, where);
  const Dtype dtype = readable_dtype(member.header.descr, where);
  const Shape& shape = member.header.shape;
  const std::optional<uint64_t> expected = checked_bytes(size_of(dtype), shape);
  if (!expected || *expected != member.data.size())
    throw Error(ErrorCode::format, fmt::format("{}: {} {} in {} bytes; is the download complete?", where,
                                               mlxe::name(dtype), to_string(shape), member.data.size()));
  TensorView view{std::move(name), dtype, shape, member.data};
  if (member.header.fortran_order && !has_one_order(shape) && !view.data.empty()) {
    if (view.data.size() > copied_left)
      throw Error(ErrorCode::format, where + ": shares its bytes with other arrays, expected its own");
    copied_left -= view.data.size();
    content.copies.push_back(
        contiguous_copy(view.data.data(), size_of(dtype), shape, fortran_strides(shape), view.data.size()));
    view.data = {content.copies.back().get(), view.data.size()};
    view.mapped = false;
  }
  content.tensors.push_back(std::move(view));
}

// ---- names

// Names of MLX's example of BERT, past "encoder.layers.N." or from the beginning, and Hugging Face's.
constexpr std::pair<std::string_view, std::string_view> kExampleLayer[] = {
    {"attention.query_proj.", "attention.self.query."},
    {"attention.key_proj.", "attention.self.key."},
    {"attention.value_proj.", "attention.self.value."},
    {"attention.out_proj.", "attention.output.dense."},
    {"ln1.", "attention.output.LayerNorm."},
    {"ln2.", "output.LayerNorm."},
    {"linear1.", "intermediate.dense."},
    {"linear2.", "output.dense."},
};
constexpr std::pair<std::string_view, std::string_view> kExampleModel[] = {
    {"embeddings.norm.", "embeddings.LayerNorm."}, {"pooler.", "pooler.dense."}};
constexpr std::string_view kExampleLayers = "encoder.layers.";

void rename_beginning(std::string& name, size_t at,
                      std::span<const std::pair<std::string_view, std::string_view>> names) {
  for (const auto& [from, to] : names)
    if (std::string_view(name).substr(at).starts_with(from)) {
      name.replace(at, from.size(), to);
      return;
    }
}

// "encoder.layers.0.ln1.weight" -> "encoder.layer.0.attention.output.LayerNorm.weight".
void rename_example_bert(std::vector<TensorView>& tensors) {
  const auto is_example = [](const TensorView& tensor) {
    return tensor.name.starts_with(kExampleLayers) &&
           tensor.name.find(".attention.query_proj.") != std::string::npos;
  };
  if (std::ranges::none_of(tensors, is_example)) return;
  for (TensorView& tensor : tensors) {
    rename_beginning(tensor.name, 0, kExampleModel);
    if (!tensor.name.starts_with(kExampleLayers)) continue;
    if (const size_t dot = tensor.name.find('.', kExampleLayers.size()); dot != std::string::npos)
      rename_beginning(tensor.name, dot + 1, kExampleLayer);
    tensor.name.erase(kExampleLayers.size() - 2, 1);  // the s of "layers"
  }
}

}  // namespace

TensorContent parse_npz(NpyBytes bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs"))
    throw Error(ErrorCode::format,
                where + ": holds the place of a file of Git LFS, not the file; download it (git lfs pull)");
  TensorContent content;
  size_t copied_left = bytes.size();
  for (const auto& [name, entry] : zip_entries(bytes, where)) {
    const std::string inside = fmt::format("{}: {}", where, printable(name));
    if (!name.ends_with(kMember) || first_invalid_utf8(name) != kValidUtf8)
      throw Error(ErrorCode::format, inside + ": an entry that is no array, expected NAME.npy");
    if (!entry.stored)
      throw Error(ErrorCode::unsupported,
                  inside +
                      ": is compressed or encrypted, expected stored bytes as numpy.savez and "
                      "mlx.core.savez write them; save it again with one of these");
    add_array(content, name.substr(0, name.size() - kMember.size()), entry.data, copied_left, inside);
  }
  if (content.tensors.empty())
    throw Error(ErrorCode::format, where + ": has no arrays, expected entries NAME.npy");
  rename_example_bert(content.tensors);
  std::ranges::sort(content.tensors, {}, &TensorView::name);
  // The names of the example could be those of other members.
  const auto twice = std::ranges::adjacent_find(content.tensors, {}, &TensorView::name);
  if (twice != content.tensors.end())
    throw Error(ErrorCode::format, fmt::format("{}: {} is there twice", where, printable(twice->name)));
  std::ranges::stable_sort(content.tensors, {}, [](const TensorView& tensor) {
    return std::ranges::find(kNumpyDtypes, tensor.dtype, &NumpyDtype::dtype) - kNumpyDtypes;
  });
  return content;
}

}  // namespace mlxe
