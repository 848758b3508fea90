#include "format/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kOrderedDict = "collections.OrderedDict";

// Python's names, for messages: those of other instructions are known, but not read.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kInst = 'i',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kEmptyDict = '}',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

std::string other_instruction(uint8_t opcode) {
  static constexpr std::pair<uint8_t, const char*> kOthers[] = {
      {'F', "FLOAT"},
      {'I', "INT"},
      {'L', "LONG"},
      {'P', "PERSID"},
      {'S', "STRING"},
      {'V', "UNICODE"},
      {'d', "DICT"},
      {'g', "GET"},
      {kInst, "INST"},
      {'l', "LIST"},
      {'o', "OBJ"},
      {'p', "PUT"},
      {0x81, "NEWOBJ"},
      {0x82, "EXT1"},
      {0x83, "EXT2"},
      {0x84, "EXT4"},
      {0x8f, "EMPTY_SET"},
      {0x90, "ADDITEMS"},
      {0x91, "FROZENSET"},
      {0x92, "NEWOBJ_EX"},
      {0x96, "BYTEARRAY8"},
      {0x97, "NEXT_BUFFER"},
      {0x98, "READONLY_BUFFER"},
  };
  for (const auto& [code, name] : kOthers)
    if (code == opcode) return name;
  return fmt::format("0x{:02x}", opcode);
}

// The machine: a stack of values (their indices), marks on the stack, and a memo of values met before.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where,
          std::span<const std::string_view> globals)
      : bytes_(bytes), where_(where), globals_(globals) {}

  // Returns the index of the result.
  uint32_t run() {
    if (bytes_.empty() || take_byte() != kProto) malformed("no pickle of protocol 2 to 5 begins there");
    if (const uint8_t protocol = take_byte(); protocol < 2 || protocol > 5)
      unsupported(fmt::format("the pickle has protocol {}, expected 2 to 5", protocol));
    for (;;) {
      count_steps(1);
      const uint8_t opcode = take_byte();
      if (opcode == kStop) return pop();
      carry_out(opcode);
    }
  }

  std::vector<PickleValue> values;
  size_t position() const { return position_; }

 private:
  [[noreturn]] void malformed(const std::string& what) const {
    throw Error(ErrorCode::format,
                fmt::format("{}: the pickle is damaged at its byte {}: {}; is the file complete?", where_,
                            position_, what));
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw Error(ErrorCode::unsupported, fmt::format("{}: {}", where_, what));
  }

  void count_steps(size_t steps) {
    if (steps > kMaxPickleSteps - steps_)
      unsupported(fmt::format("the pickle has more than {} instructions", kMaxPickleSteps));
    steps_ += steps;
  }

  // ---- bytes

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - position_)
      malformed(fmt::format("{} bytes expected, {} are left", count, bytes_.size() - position_));
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
    position_ += count;
    return {begin, static_cast<size_t>(count)};
  }
  uint8_t take_byte() { return static_cast<uint8_t>(take(1).front()); }
  uint64_t take_unsigned(size_t width) {  // little endian
    uint64_t value = 0;
    const std::string_view digits = take(width);
    for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    return value;
  }
  std::string_view take_line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_,
                                bytes_.size() - position_);
    const size_t end = rest.find('\n');
    if (end == rest.npos) malformed("a name without an end");
    position_ += end + 1;
    return rest.substr(0, end);
  }

  // ---- stack and memo

  void push(PickleValue value) {
    values.push_back(std::move(value));
    stack_.push_back(static_cast<uint32_t>(values.size() - 1));
  }
  // The stack above the last mark is what instructions may take.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  uint32_t top() const {
    if (stack_.size() <= floor()) malformed("nothing is on the stack");
    return stack_.back();
  }
  uint32_t pop() {
    const uint32_t index = top();
    stack_.pop_back();
    return index;
  }
  // The values above the last mark; removes the mark.
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) malformed("no mark is on the stack");
    const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
    std::vector<uint32_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<uint32_t> pop_items(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  void get(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) malformed(fmt::format("the memo has no entry {}", key));
    stack_.push_back(found->second);
  }

  // ---- instructions

  void carry_out(uint8_t opcode) {
    switch (opcode) {
      case kFrame:
        if (const uint64_t size = take_unsigned(8); size > bytes_.size() - position_)
          malformed(fmt::format("a frame of {} bytes, {} are left", size, bytes_.size() - position_));
        return;
      case kMark:
        return marks_.push_back(stack_.size());
      case kPop:  // of a mark, if nothing is above it
        if (!marks_.empty() && stack_.size() == marks_.back())
          marks_.pop_back();
        else
          pop();
        return;
      case kPopMark:
        pop_to_mark();
        return;
      case kDup:
        return stack_.push_back(top());
      case kNone:
        return push({});
      case kNewTrue:
      case kNewFalse:
        return push({.kind = Kind::boolean, .number = opcode == kNewTrue});
      case kBinInt:
        return push({.kind = Kind::integer, .number = static_cast<int32_t>(take_unsigned(4))});
      case kBinInt1:
        return push({.kind = Kind::integer, .number = take_byte()});
      case kBinInt2:
        return push({.kind = Kind::integer, .number = static_cast<int64_t>(take_unsigned(2))});
      case kLong1:
        return push_long(take(take_byte()));
      case kLong4:
        return push_long(take(take_unsigned(4)));
      case kBinFloat:
        take(8);
        return push({.kind = Kind::real});
      case kShortBinString:
      case kShortBinUnicode:
        return push({.kind = Kind::text, .text = take(take_byte())});
      case kBinString:
      case kBinUnicode:
        return push({.kind = Kind::text, .text = take(take_unsigned(4))});
      case kBinUnicode8:
        return push({.kind = Kind::text, .text = take(take_unsigned(8))});
      case kShortBinBytes:
        return push({.kind = Kind::bytes, .text = take(take_byte())});
      case kBinBytes:
        return push({.kind = Kind::bytes, .text = take(take_unsigned(4))});
      case kBinBytes8:
        return push({.kind = Kind::bytes, .text = take(take_unsigned(8))});
      case kEmptyTuple:
        return push({.kind = Kind::tuple});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push({.kind = Kind::tuple, .items = pop_items(opcode - kTuple1 + 1u)});
      case kTuple:
        return push({.kind = Kind::tuple, .items = pop_to_mark()});
      case kEmptyList:
        return push({.kind = Kind::list});
      case kEmptyDict:
        return push({.kind = Kind::dict});
      case kAppend:
        return extend(Kind::list, pop_items(1));
      case kAppends:
        return extend(Kind::list, pop_to_mark());
      case kSetItem:
        return extend(Kind::dict, pop_items(2));
      case kSetItems:
        return extend(Kind::dict, pop_to_mark());
      case kBinPut:
        memo_[take_byte()] = top();
        return;
      case kLongBinPut:
        memo_[take_unsigned(4)] = top();
        return;
      case kMemoize:
        memo_[memo_.size()] = top();
        return;
      case kBinGet:
        return get(take_byte());
      case kLongBinGet:
        return get(take_unsigned(4));
      case kGlobal: {
        const std::string_view module = take_line();
        return push_global(module, take_line());
      }
      case kStackGlobal: {
        const PickleValue &last = values[pop()], &module = values[pop()];
        if (last.kind != Kind::text || module.kind != Kind::text) malformed("a name that is no text");
        return push_global(module.text, last.text);
      }
      case kBinPersId:
        return push({.kind = Kind::persistent, .items = pop_items(1)});
      case kReduce:
        return call();
      case kBuild:
        pop();  // attributes, such as "_metadata", which hold no tensors
        if (values[top()].kind != Kind::dict)
          unsupported("the pickle gives attributes to something else than a dictionary");
        return;
      case kInst: {  // the name says more than the instruction
        const std::string_view module = take_line();
        require_known(module, take_line());
        [[fallthrough]];
      }
      default:
        unsupported(fmt::format("the pickle has the instruction {}, which no file of torch's tensors has",
                                other_instruction(opcode)));
    }
  }

  void push_long(std::string_view digits) {
    if (digits.size() > 8) return push({.kind = Kind::long_integer, .text = digits});
    uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    push({.kind = Kind::integer, .number = static_cast<int64_t>(value)});
  }

  void extend(Kind kind, const std::vector<uint32_t>& items) {
    PickleValue& container = values[top()];
    if (container.kind != kind)
      malformed(fmt::format("items for {}, expected {}", mlxe::name(container.kind), mlxe::name(kind)));
    if (kind == Kind::dict && items.size() % 2 != 0) malformed("a key without a value");
    container.items.insert(container.items.end(), items.begin(), items.end());
  }

  std::string_view require_known(std::string_view module, std::string_view name) const {
    const std::string full = fmt::format("{}.{}", module, name);
    if (full == kOrderedDict) return kOrderedDict;
    const auto found = std::ranges::find(globals_, full);
    if (found == globals_.end())
      unsupported(
          fmt::format("the pickle wants to call {}; expected only torch's tensors in a dictionary, as "
                      "torch.save(model.state_dict(), FILE) writes them; nothing was called",
                      printable(full)));
    return *found;
  }

  void push_global(std::string_view module, std::string_view name) {
    push({.kind = Kind::global, .text = require_known(module, name)});
  }

  void call() {
    const uint32_t arguments = pop(), function = pop();
    if (values[function].kind != Kind::global || values[arguments].kind != Kind::tuple)
      malformed(fmt::format("a call of {} with {}", mlxe::name(values[function].kind),
                            mlxe::name(values[arguments].kind)));
    if (values[function].text == kOrderedDict) return push({.kind = Kind::dict, .items = pairs(arguments)});
    push({.kind = Kind::call, .items = {function, arguments}});
  }

  // The arguments of OrderedDict(): none, or (Python 2) a list of [key, value].
  std::vector<uint32_t> pairs(uint32_t arguments) {
    std::vector<uint32_t> result;
    for (const uint32_t list : values[arguments].items) {
      count_steps(values[list].items.size() + 1);  // one list may be the argument of many calls
      for (const uint32_t pair : values[list].items) {
        const std::vector<uint32_t>& items = values[pair].items;
        if (values[list].kind != Kind::list || items.size() != 2) malformed("an OrderedDict of no pairs");
        result.insert(result.end(), items.begin(), items.end());
      }
    }
    return result;
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::span<const std::string_view> globals_;
  size_t position_ = 0, steps_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
};

}  // namespace

const char* name(PickleValue::Kind kind) noexcept {
  switch (kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
    case Kind::long_integer:
    case Kind::real:
      return "a number";
    case Kind::text:
      return "a text";
    case Kind::bytes:
      return "bytes";
    case Kind::tuple:
      return "a tuple";
    case Kind::list:
      return "a list";
    case Kind::dict:
      return "a dictionary";
    case Kind::global:
      return "a name";
    case Kind::call:
      return "an object";
    case Kind::persistent:
      return "a storage";
  }
  return "";
}

Pickle Pickle::read(std::span<const std::byte> bytes, const std::string& where,
                    std::span<const std::string_view> globals) {
  Machine machine(bytes, where, globals);
  Pickle pickle;
  pickle.root_ = machine.run();
  pickle.size_ = machine.position();
  pickle.values_ = std::move(machine.values);
  return pickle;
}

}  // namespace mlxe
