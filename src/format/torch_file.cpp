#include "format/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "format/json_file.h"
#include "format/pickle.h"
#include "format/zip_archive.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Kind = PickleValue::Kind;
using Bytes = std::span<const std::byte>;

// ---- what a pickle may name

struct TorchDtype {
  std::string_view storage;  // the class of a storage; empty: none has this dtype alone
  std::string_view dtype;
  size_t bytes;
  std::optional<Dtype> readable;
};
// Those that are read, in the order that safetensors stores them in.
constexpr TorchDtype kTorchDtypes[] = {
    {"", "torch.uint64", 8, Dtype::u64},
    {"torch.LongStorage", "torch.int64", 8, Dtype::i64},
    {"torch.DoubleStorage", "torch.float64", 8, Dtype::f64},
    {"torch.FloatStorage", "torch.float32", 4, Dtype::f32},
    {"", "torch.uint32", 4, Dtype::u32},
    {"torch.IntStorage", "torch.int32", 4, Dtype::i32},
    {"torch.BFloat16Storage", "torch.bfloat16", 2, Dtype::bf16},
    {"torch.HalfStorage", "torch.float16", 2, Dtype::f16},
    {"", "torch.uint16", 2, Dtype::u16},
    {"torch.ShortStorage", "torch.int16", 2, Dtype::i16},
    {"torch.CharStorage", "torch.int8", 1, Dtype::i8},
    {"torch.ByteStorage", "torch.uint8", 1, Dtype::u8},
    {"torch.BoolStorage", "torch.bool", 1, Dtype::boolean},
    {"torch.ComplexDoubleStorage", "torch.complex128", 16, std::nullopt},
    {"torch.ComplexFloatStorage", "torch.complex64", 8, std::nullopt},
    {"", "torch.float8_e4m3fn", 1, std::nullopt},
    {"", "torch.float8_e5m2", 1, std::nullopt},
    {"", "torch.float8_e4m3fnuz", 1, std::nullopt},
    {"", "torch.float8_e5m2fnuz", 1, std::nullopt},
    {"", "torch.float8_e8m0fnu", 1, std::nullopt},
};
// A storage without a dtype, counted in bytes: torch's for the dtypes that have no class of their own.
constexpr std::string_view kUntyped[] = {"torch.storage.UntypedStorage", "torch.UntypedStorage"};

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor";
constexpr std::string_view kTensor2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kTensor3 = "torch._utils._rebuild_tensor_v3";  // with a dtype of its own
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kParameterWithState = "torch._utils._rebuild_parameter_with_state";
constexpr std::string_view kOfType = "torch._tensor._rebuild_from_type_v2";  // a tensor with attributes
constexpr std::string_view kClasses[] = {"torch.Tensor", "torch.nn.parameter.Parameter"};  // arguments of it

const std::vector<std::string_view>& known_globals() {
  static const std::vector<std::string_view> globals = [] {
    std::vector<std::string_view> all{kTensor, kTensor2, kTensor3, kParameter, kParameterWithState, kOfType};
    all.insert(all.end(), std::begin(kUntyped), std::end(kUntyped));
    all.insert(all.end(), std::begin(kClasses), std::end(kClasses));
    for (const TorchDtype& row : kTorchDtypes)
      for (const std::string_view name : {row.storage, row.dtype})
        if (!name.empty()) all.push_back(name);
    return all;
  }();
  return globals;
}

// The row whose `member` is `name`; nullptr if there is none.
const TorchDtype* find_dtype(std::string_view TorchDtype::*member, std::string_view name) {
  const auto row = std::ranges::find(kTorchDtypes, name, member);
  return row == std::end(kTorchDtypes) ? nullptr : row;
}

[[noreturn]] void damaged(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: {}", where, what));
}

[[noreturn]] void not_read(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where, what));
}

// ---- storages

// The id by which a pickle refers to a storage: ("storage", class, key, device, number of elements), in the legacy
// form also None or (key, offset, number of elements) of a part.
struct StorageId {
  const TorchDtype* dtype = nullptr;  // nullptr: untyped
  std::string_view key;
  uint64_t bytes = 0;                       // of the whole storage
  uint64_t part_begin = 0, part_bytes = 0;  // in bytes
};

class StorageIdReader {
 public:
  StorageIdReader(const Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {}

  StorageId read(const PickleValue& persistent) const {
    const std::vector<uint32_t>& id = pickle_.at(persistent.items.at(0)).items;
    if ((id.size() != 5 && id.size() != 6) || pickle_.at(id[0]).text != "storage" ||
        pickle_.at(id[1]).kind != Kind::global || pickle_.at(id[2]).kind != Kind::text)
      damaged(where_, "the pickle names something outside of it that is no storage");
    StorageId result;
    const std::string_view type = pickle_.at(id[1]).text;
    result.dtype = find_dtype(&TorchDtype::storage, type);
    if (!result.dtype && std::ranges::find(kUntyped, type) == std::end(kUntyped))
      damaged(where_, fmt::format("the pickle takes {} for a storage", printable(type)));
    result.key = pickle_.at(id[2]).text;
    const size_t element = result.dtype ? result.dtype->bytes : 1;
    result.part_bytes = result.bytes = bytes(id[4], element);
    if (id.size() == 6 && pickle_.at(id[5]).kind != Kind::none) {
      const std::vector<uint32_t>& part = pickle_.at(id[5]).items;
      if (part.size() != 3) damaged(where_, "the pickle has a malformed part of a storage");
      result.part_begin = bytes(part[1], element);
      result.part_bytes = bytes(part[2], element);
      if (result.part_begin > result.bytes || result.part_bytes > result.bytes - result.part_begin)
        damaged(where_, fmt::format("a part of storage {} lies outside of it", printable(result.key)));
    }
    return result;
  }

 private:
  uint64_t bytes(uint32_t index, size_t element) const {
    const PickleValue& count = pickle_.at(index);
    const auto total = count.kind == Kind::integer ? checked_bytes(element, {count.number}) : std::nullopt;
    if (!total) damaged(where_, "the pickle has a storage of an impossible size");
    return *total;
  }

  const Pickle& pickle_;
  const std::string& where_;
};

// ---- tensors

constexpr size_t kMostDimensions = 64;  // torch's

// Bytes that copies of tensors may take in all, beside twice the size of the file: a tensor that repeats one
// element (expand()) would otherwise have any size.
constexpr uint64_t kMostCopied = uint64_t{64} << 20;

class StateDictReader {
 public:
  using Storages = std::map<std::string_view, Bytes>;  // by key

  StateDictReader(const Pickle& pickle, const Storages& storages, uint64_t file_bytes,
                  const std::string& where)
      : pickle_(pickle),
        storages_(storages),
        ids_(pickle, where),
        copied_left_(kMostCopied + 2 * file_bytes),
        where_(where) {}

  TensorContent read() {
    const PickleValue& root = pickle_.root();
    if (root.kind != Kind::dict)
      not_read(where_,
               fmt::format("holds {}, expected a dictionary of tensors (state_dict())", name(root.kind)));
    std::map<std::string_view, uint32_t> entries;
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = pickle_.at(root.items[i]);
      if (key.kind != Kind::text || first_invalid_utf8(key.text) != kValidUtf8)
        damaged(where_, fmt::format("{} as the name of a tensor, expected a text in UTF-8", name(key.kind)));
      entries[key.text] = root.items[i + 1];
    }
    for (const auto& [key, value] : entries) content_.tensors.push_back(tensor(std::string(key), value));
    const auto rank = [](const TensorView& tensor) {
      return std::ranges::find(kTorchDtypes, std::optional(tensor.dtype), &TorchDtype::readable) -
             kTorchDtypes;
    };
    std::ranges::stable_sort(content_.tensors, std::less(), rank);
    return std::move(content_);
  }

 private:
  [[noreturn]] void malformed(const std::string& tensor, const std::string& what) const {
    damaged(where_, fmt::format("{}: {}", printable(tensor), what));
  }

  // The arguments of the call that makes a tensor, past those that wrap it.
  struct Call {
    std::string_view function;
    const std::vector<uint32_t>* arguments;

    bool is_of(std::initializer_list<std::string_view> functions, size_t most_missing) const {
      return std::ranges::find(functions, function) != functions.end() && arguments->size() >= most_missing;
    }
  };

  Call making_call(const std::string& tensor, uint32_t index) const {
    for (;;) {
      const PickleValue& value = pickle_.at(index);
      if (value.kind != Kind::call)
        not_read(where_, fmt::format("{} is {}, expected a tensor; save the model's state_dict() alone",
                                     printable(tensor), name(value.kind)));
      Call call{pickle_.at(value.items[0]).text, &pickle_.at(value.items[1]).items};
      if (call.is_of({kOfType}, 4)) {  // function, class, arguments, attributes
        const PickleValue &function = pickle_.at((*call.arguments)[0]),
                          &inner = pickle_.at((*call.arguments)[2]);
        if (function.kind != Kind::global || inner.kind != Kind::tuple)
          malformed(tensor, "is made by a malformed call");
        call = {function.text, &inner.items};
      }
      if (!call.is_of({kParameter, kParameterWithState}, 1)) return call;
      index = call.arguments->front();
    }
  }

  TensorView tensor(const std::string& name, uint32_t index) {
    const Call call = making_call(name, index);
    const bool has_dtype = call.is_of({kTensor3}, 7);
    if (!has_dtype && !call.is_of({kTensor, kTensor2}, 4))
      malformed(name, fmt::format("is made by {} with {} arguments", printable(call.function),
                                  call.arguments->size()));
    const std::vector<uint32_t>& arguments = *call.arguments;
    if (pickle_.at(arguments[0]).kind != Kind::persistent) malformed(name, "has no storage");
    const StorageId id = ids_.read(pickle_.at(arguments[0]));
    const TorchDtype* dtype =
        has_dtype ? find_dtype(&TorchDtype::dtype, pickle_.at(arguments[6]).text) : id.dtype;
    if (!dtype) malformed(name, "has no dtype");
    if (!dtype->readable)
      not_read(where_, fmt::format("{} has dtype {}, which this version can't read; convert it to float32, "
                                   "float16 or bfloat16",
                                   printable(name), dtype->dtype.substr(6)));
    const Shape shape = numbers(name, arguments[2]), strides = numbers(name, arguments[3]);
    const PickleValue& offset = pickle_.at(arguments[1]);
    if (offset.kind != Kind::integer || shape.size() != strides.size())
      malformed(name, "has a malformed place in its storage");
    return view(name, *dtype, shape, strides, offset.number, storage(name, id));
  }

  Bytes storage(const std::string& tensor, const StorageId& id) const {
    const auto found = storages_.find(id.key);
    if (found == storages_.end())
      malformed(tensor, fmt::format("its storage {} is not in the file", printable(id.key)));
    if (found->second.size() != id.bytes)
      malformed(tensor,
                fmt::format("its storage {} has {} bytes, the pickle says {}; is the download complete?",
                            printable(id.key), found->second.size(), id.bytes));
    return found->second.subspan(id.part_begin, id.part_bytes);
  }

  Shape numbers(const std::string& tensor, uint32_t index) const {
    Shape result;
    const PickleValue& tuple = pickle_.at(index);
    if (tuple.kind != Kind::tuple || tuple.items.size() > kMostDimensions)
      malformed(tensor, fmt::format("has {} for a shape or strides, expected at most {} numbers",
                                    mlxe::name(tuple.kind), kMostDimensions));
    for (const uint32_t item : tuple.items) {
      const PickleValue& number = pickle_.at(item);
      if (number.kind != Kind::integer || number.number < 0)
        malformed(tensor, "has an impossible shape or stride");
      result.push_back(number.number);
    }
    return result;
  }

  TensorView view(const std::string& name, const TorchDtype& dtype, const Shape& shape, const Shape& strides,
                  int64_t offset, Bytes storage) {
    const size_t element = dtype.bytes;
    const std::optional<uint64_t> bytes = checked_bytes(element, shape);
    if (!bytes) malformed(name, fmt::format("its shape {} has more than 2^63 bytes", to_string(shape)));
    TensorView result{name, *dtype.readable, shape, {}};
    if (*bytes == 0) return result;
    // The last element bounds all others, because no stride is negative.
    int64_t last = offset;
    bool contiguous = true, fits = offset >= 0;
    int64_t expected = 1;  // the stride of a contiguous tensor
    for (size_t d = shape.size(); d-- > 0 && fits;) {
      int64_t reach = 0;
      fits = !__builtin_mul_overflow(shape[d] - 1, strides[d], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
      contiguous &= shape[d] == 1 || strides[d] == expected;
      expected *= shape[d];
    }
    if (!fits || static_cast<uint64_t>(last) >= storage.size() / element)
      malformed(name, fmt::format("its {} elements lie outside its storage of {} bytes", to_string(shape),
                                  storage.size()));
    const std::byte* first = storage.data() + static_cast<uint64_t>(offset) * element;
    result.data = contiguous ? Bytes(first, *bytes) : copy(name, first, element, shape, strides, *bytes);
    result.mapped = contiguous;
    return result;
  }

  Bytes copy(const std::string& name, const std::byte* first, size_t element, const Shape& shape,
             const Shape& strides, uint64_t bytes) {
    if (bytes > copied_left_)
      not_read(where_, fmt::format("{} repeats its values to {} bytes; save it with contiguous()",
                                   printable(name), bytes));
    copied_left_ -= bytes;
    content_.copies.push_back(contiguous_copy(first, element, shape, strides, bytes));
    return {content_.copies.back().get(), bytes};
  }

  const Pickle& pickle_;
  const Storages& storages_;
  const StorageIdReader ids_;
  uint64_t copied_left_;
  const std::string& where_;
  TensorContent content_;
};

// ---- containers

Bytes stored_data(const std::string& name, const ZipEntry& entry, const std::string& where) {
  if (!entry.stored)
    not_read(where,
             fmt::format("the entry {} is compressed or encrypted, expected stored bytes as torch.save "
                         "writes them; save it again with torch",
                         printable(name)));
  return entry.data;
}

TensorContent parse_zip(Bytes file, const std::string& where) {
  constexpr std::string_view kPickle = "/data.pkl";
  const std::map<std::string, ZipEntry> entries = zip_entries(file, where);
  std::vector<std::string> folders;
  for (const auto& [name, entry] : entries)
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size())
      folders.push_back(name.substr(0, name.size() - kPickle.size()));
  if (folders.size() != 1)
    damaged(where,
            fmt::format("a zip archive with {} entries NAME/data.pkl, expected one as torch.save writes it",
                        folders.size()));
  const std::string& folder = folders.front();
  if (entries.contains(folder + "/constants.pkl"))
    not_read(where, "holds a TorchScript program, expected a dictionary of tensors (state_dict())");
  if (const auto order = entries.find(folder + "/byteorder"); order != entries.end()) {
    const Bytes text = stored_data(order->first, order->second, where);
    const std::string_view found(reinterpret_cast<const char*>(text.data()), text.size());
    if (found != "little")
      not_read(where,
               fmt::format("its bytes are in the order {}, expected \"little\"; save it on a machine with "
                           "that order",
                           printable(found)));
  }
  const std::string pickle_name = folder + std::string(kPickle), prefix = folder + "/data/";
  const Pickle pickle =
      Pickle::read(stored_data(pickle_name, entries.at(pickle_name), where), where, known_globals());
  StateDictReader::Storages storages;
  for (const auto& [name, entry] : entries)
    if (name.starts_with(prefix))
      storages[std::string_view(name).substr(prefix.size())] = stored_data(name, entry, where);
  return StateDictReader(pickle, storages, file.size(), where).read();
}

// The beginning of the legacy form: torch's magic number, 0x1950a86a20f9469cfc6c.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kLegacyVersion = 1001;

class LegacyReader {
 public:
  LegacyReader(Bytes file, const std::string& where) : file_(file), rest_(file), where_(where) {}

  TensorContent read() {
    if (const Pickle magic = next(); magic.root().kind != Kind::long_integer || magic.root().text != kMagic)
      damaged(where_, "a pickle without torch's magic number, expected a file of torch.save");
    if (const Pickle version = next(); version.root().number != kLegacyVersion)
      not_read(where_, fmt::format("torch's format {}, expected {}", version.root().number, kLegacyVersion));
    require_little_endian(next());
    const Pickle pickle = next();
    const Pickle keys = next();
    return StateDictReader(pickle, storages(pickle, keys), file_.size(), where_).read();
  }

 private:
  Pickle next() {
    Pickle pickle = Pickle::read(rest_, where_, known_globals());
    rest_ = rest_.subspan(pickle.size());
    return pickle;
  }

  void require_little_endian(const Pickle& machine) const {
    const std::vector<uint32_t>& facts = machine.root().items;
    for (size_t i = 0; machine.root().kind == Kind::dict && i < facts.size(); i += 2)
      if (machine.at(facts[i]).text == "little_endian" && machine.at(facts[i + 1]).number == 0)
        not_read(where_, "was written by a machine that stores numbers big end first; save it on another");
  }

  StateDictReader::Storages storages(const Pickle& pickle, const Pickle& keys) {
    std::map<std::string_view, StorageId> ids;
    const StorageIdReader reader(pickle, where_);
    for (const PickleValue& value : pickle.values())
      if (value.kind == Kind::persistent) {
        const StorageId id = reader.read(value);
        ids.emplace(id.key, id);
      }
    StateDictReader::Storages result;
    for (const uint32_t index : keys.root().items) {
      const auto found = ids.find(keys.at(index).text);
      if (found == ids.end())
        damaged(where_, fmt::format("no tensor has the storage {}", printable(keys.at(index).text)));
      const StorageId& id = found->second;
      const uint64_t count = take_count(), element = id.dtype ? id.dtype->bytes : 1;
      if (count != id.bytes / element || id.bytes > rest_.size())
        damaged(where_,
                fmt::format("storage {} has {} elements, the pickle says {}, and {} bytes are left; is the "
                            "download complete?",
                            printable(id.key), count, id.bytes / element, rest_.size()));
      result[id.key] = rest_.first(id.bytes);
      rest_ = rest_.subspan(id.bytes);
    }
    return result;
  }

  uint64_t take_count() {
    if (rest_.size() < 8) damaged(where_, "ends before its storages; is the download complete?");
    uint64_t count = 0;
    for (size_t i = 8; i-- > 0;) count = count << 8 | std::to_integer<uint64_t>(rest_[i]);
    rest_ = rest_.subspan(8);
    return count;
  }

  Bytes file_, rest_;
  const std::string& where_;
};

}  // namespace

TensorContent parse_torch(Bytes bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("PK\x03\x04")) return parse_zip(bytes, where);
  if (text.starts_with('\x80')) return LegacyReader(bytes, where).read();
  if (text.starts_with("version https://git-lfs"))
    damaged(where, "holds the place of a file of Git LFS, not the file; download it (git lfs pull)");
  damaged(where,
          fmt::format("{} bytes that begin with neither a zip archive nor a pickle, expected a file of "
                      "torch.save; is the download complete?",
                      bytes.size()));
}

}  // namespace mlxe
