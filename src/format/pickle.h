// Python's pickles, read as data: nothing is executed.
//
// The reader knows the instructions that pickle writes in protocols 2 to 5 for numbers, texts, tuples, lists,
// dictionaries and calls. A call stays a name and its arguments. Any other instruction, and any name that the
// caller does not list, is an error. Values refer to each other by index, so that nothing here recurses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlxe {

// Instructions, which bounds memory: a value takes at most one. A state dict needs about 45 for a tensor.
inline constexpr size_t kMaxPickleSteps = 2'000'000;

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,       // number
    integer,       // number
    long_integer,  // text: two's complement, little endian; only if `number` can't hold it
    real,          // without its value
    text,          // text, not checked for UTF-8
    bytes,         // text
    tuple,         // items
    list,          // items
    dict,          // items: key, value, key, value, ...; an OrderedDict too. Of equal keys the last counts
    global,        // text: "module.name"
    call,          // items: a global and a tuple of arguments
    persistent,    // items: the id of something outside the pickle
  };
  Kind kind = Kind::none;
  int64_t number = 0;
  std::string_view text = {};  // points into the pickle
  std::vector<uint32_t> items = {};
};

// "a tuple", "a number"
const char* name(PickleValue::Kind kind) noexcept;

class Pickle {
 public:
  // Reads the pickle at the beginning of `bytes`, which must outlive it. `where` names the file in errors.
  // `globals`: all names that the pickle may refer to, beside collections.OrderedDict. Errors: format
  // (malformed), unsupported (another instruction or name, more than kMaxPickleSteps).
  static Pickle read(std::span<const std::byte> bytes, const std::string& where,
                     std::span<const std::string_view> globals);

  const std::vector<PickleValue>& values() const noexcept { return values_; }
  const PickleValue& at(uint32_t index) const { return values_[index]; }
  const PickleValue& root() const { return values_[root_]; }
  size_t size() const noexcept { return size_; }  // of the pickle in bytes

 private:
  std::vector<PickleValue> values_;
  uint32_t root_ = 0;
  size_t size_ = 0;
};

}  // namespace mlxe
