#include "format/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "test_files.h"

namespace mlxe::pickle_test {
namespace {

using namespace std::string_literals;
using test::error_text;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = PickleValue::Kind;

constexpr std::array<std::string_view, 1> kGlobals{"torch.FloatStorage"};

// The bytes must outlive the pickle.
Pickle read(const std::string& bytes) {
  return Pickle::read(std::as_bytes(std::span(bytes)), "m.bin", kGlobals);
}

std::string refused(const std::string& bytes, ErrorCode code) {
  return error_text([&] { read(bytes); }, code);
}

const std::string kTwo = "\x80\x02", kFour = "\x80\x04";

// pickle.dumps({"a": [1, -2, 3.5, None, True], ...}, protocol) of Python 3.11.
TEST(Pickle, ReadsWhatPythonWrites) {
  const std::string two =
      "\x80\x02}q\x00(X\x01\x00\x00\x00"
      "aq\x01]q\x02(K\x01J\xfe\xff\xff\xffG@\x0c\x00\x00\x00\x00\x00\x00N\x88"
      "e"
      "X\x01\x00\x00\x00"
      "bq\x03M\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86q\x04u."s;
  const std::string four =
      "\x80\x04\x95\x2f\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01"
      "a\x94]\x94(K\x01J\xfe\xff\xff\xffG@\x0c\x00\x00"
      "\x00\x00\x00\x00N\x88"
      "e\x8c\x01"
      "b\x94M\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86\x94u."s;
  for (const std::string& written : {two, four}) {
    const std::string bytes = written + "what follows it";
    const Pickle pickle = read(bytes);
    EXPECT_EQ(pickle.size(), written.size());
    const PickleValue& root = pickle.root();
    ASSERT_EQ(root.kind, Kind::dict);
    ASSERT_EQ(root.items.size(), 4u);
    EXPECT_EQ(pickle.at(root.items[0]).text, "a");
    const PickleValue& list = pickle.at(root.items[1]);
    ASSERT_EQ(list.kind, Kind::list);
    ASSERT_EQ(list.items.size(), 5u);
    EXPECT_EQ(pickle.at(list.items[0]).number, 1);
    EXPECT_EQ(pickle.at(list.items[1]).number, -2);
    EXPECT_EQ(pickle.at(list.items[2]).kind, Kind::real);
    EXPECT_EQ(pickle.at(list.items[3]).kind, Kind::none);
    EXPECT_EQ(pickle.at(list.items[4]).number, 1);
    const PickleValue& pair = pickle.at(root.items[3]);
    ASSERT_EQ(pair.kind, Kind::tuple);
    EXPECT_EQ(pickle.at(pair.items[0]).number, 256);
    EXPECT_EQ(pickle.at(pair.items[1]).number, int64_t{1} << 32);
  }
}

TEST(Pickle, LongNumbersKeepTheirSign) {
  EXPECT_EQ(read(kTwo + "\x8a\x01\xff."s).root().number, -1);
  EXPECT_EQ(read(kTwo + "\x8a\x00."s).root().number, 0);
  EXPECT_EQ(read(kTwo + "\x8b\x02\x00\x00\x00\x00\x80."s).root().number, -32768);
  const std::string bytes = kTwo + "\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09."s;
  const Pickle nine = read(bytes);
  EXPECT_EQ(nine.root().kind, Kind::long_integer);
  EXPECT_EQ(nine.root().text.size(), 9u);
}

// As Python 2 wrote one.
TEST(Pickle, AnOrderedDictIsADictionaryWithoutItsAttributes) {
  const std::string bytes = kTwo +
                            "ccollections\nOrderedDict\nq\x00]q\x01]q\x02(U\x01"
                            "aK\x07"
                            "ea\x85R}U\x01"
                            "xK\x01sb."s;
  const Pickle pickle = read(bytes);
  ASSERT_EQ(pickle.root().kind, Kind::dict);
  ASSERT_EQ(pickle.root().items.size(), 2u);
  EXPECT_EQ(pickle.at(pickle.root().items[0]).text, "a");
  EXPECT_EQ(pickle.at(pickle.root().items[1]).number, 7);
}

TEST(Pickle, ACallStaysAName) {
  const std::string bytes = kTwo + "ctorch\nFloatStorage\nK\x01\x85R."s;
  const Pickle pickle = read(bytes);
  ASSERT_EQ(pickle.root().kind, Kind::call);
  EXPECT_EQ(pickle.at(pickle.root().items[0]).text, "torch.FloatStorage");
}

struct Refused {
  const char* test;
  std::string bytes;
  ErrorCode code;
  const char* message;
};

class PickleRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(PickleRefuses, InOneSentence) {
  const auto& [test, bytes, code, message] = GetParam();
  EXPECT_THAT(refused(bytes, code), AllOf(HasSubstr("m.bin: "), HasSubstr(message), Not(HasSubstr("\n"))));
}

INSTANTIATE_TEST_SUITE_P(
    , PickleRefuses,
    ::testing::Values(
        Refused{"Reduce", kTwo + "cos\nsystem\nX\x02\x00\x00\x00ls\x85R."s, ErrorCode::unsupported,
                "the pickle wants to call \"os.system\"; expected only torch's tensors"},
        Refused{"StackGlobal", kFour + "\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R."s,
                ErrorCode::unsupported, "wants to call \"posix.system\""},
        Refused{"Builtins",
                kTwo + "c__builtin__\neval\nX\x01\x00\x00\x00"
                       "1\x85R."s,
                ErrorCode::unsupported, "wants to call \"__builtin__.eval\""},
        Refused{"Inst", kTwo + "(X\x02\x00\x00\x00lsios\nsystem\n."s, ErrorCode::unsupported,
                "wants to call \"os.system\""},
        Refused{"InstOfAKnownClass", kTwo + "(itorch\nFloatStorage\n."s, ErrorCode::unsupported,
                "the instruction INST"},
        Refused{"Obj", kTwo + "(ctorch\nFloatStorage\no."s, ErrorCode::unsupported, "the instruction OBJ"},
        Refused{"NewObj", kTwo + "ctorch\nFloatStorage\n)\x81."s, ErrorCode::unsupported,
                "the instruction NEWOBJ"},
        Refused{"NewObjEx", kFour + "ctorch\nFloatStorage\n)}\x92."s, ErrorCode::unsupported, "NEWOBJ_EX"},
        Refused{"Extension", kTwo + "\x82\x01."s, ErrorCode::unsupported, "the instruction EXT1"},
        Refused{"PersId", kTwo + "Pabc\n."s, ErrorCode::unsupported, "the instruction PERSID"},
        Refused{"Build", kTwo + "ctorch\nFloatStorage\n)R}b."s, ErrorCode::unsupported,
                "gives attributes to something else than a dictionary"},
        Refused{"Set", kFour + "\x8f."s, ErrorCode::unsupported, "the instruction EMPTY_SET"},
        Refused{"Unknown", kTwo + "\xff."s, ErrorCode::unsupported, "the instruction 0xff"},
        Refused{"Protocol", "\x80\x09N."s, ErrorCode::unsupported, "protocol 9, expected 2 to 5"},
        Refused{"Protocol0", "I1\n."s, ErrorCode::format, "no pickle of protocol 2 to 5"},
        Refused{"Empty", "", ErrorCode::format, "no pickle of protocol 2 to 5"},
        Refused{"HostileName", kTwo + "ca\x1b[2J\nb\xff\n."s, ErrorCode::unsupported, "\\u001b"},
        Refused{"NameWithoutEnd", kTwo + "cos"s, ErrorCode::format, "a name without an end"},
        Refused{"NameOfNumbers", kFour + "K\x01K\x02\x93."s, ErrorCode::format, "a name that is no text"},
        Refused{"NoStop", kTwo + "N"s, ErrorCode::format, "1 bytes expected, 0 are left"},
        Refused{"Nothing", kTwo + "."s, ErrorCode::format, "nothing is on the stack"},
        Refused{"BelowAMark", kTwo + "N(."s, ErrorCode::format, "nothing is on the stack"},
        Refused{"NoMark", kTwo + "Nt."s, ErrorCode::format, "no mark is on the stack"},
        Refused{"NoMemo", kTwo + "h\x07."s, ErrorCode::format, "the memo has no entry 7"},
        Refused{"HugeText", kFour + "\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s, ErrorCode::format,
                "18446744073709551615 bytes expected"},
        Refused{"HugeLong", kTwo + "\x8b\xff\xff\xff\xff."s, ErrorCode::format, "4294967295 bytes expected"},
        Refused{"HugeFrame", kFour + "\x95\xff\xff\xff\xff\xff\xff\xff\x7fN."s, ErrorCode::format,
                "a frame of"},
        Refused{"HalfAPair", kTwo + "}(K\x01u."s, ErrorCode::format, "a key without a value"},
        Refused{"ItemsOfANumber",
                kTwo + "K\x01K\x02"
                       "a."s,
                ErrorCode::format, "items for a number"},
        Refused{"CallOfANumber", kTwo + "K\x01)R."s, ErrorCode::format, "a call of a number"},
        Refused{"NoArguments", kTwo + "ctorch\nFloatStorage\n]R."s, ErrorCode::format, "with a list"},
        Refused{"DictOfNoPairs",
                kTwo + "ccollections\nOrderedDict\n]K\x01"
                       "a\x85R."s,
                ErrorCode::format, "an OrderedDict of no pairs"}),
    [](const auto& test) { return test.param.test; });

// Neither time nor memory grows faster than the file.
TEST(Pickle, BombsGoOff) {
  const size_t many = kMaxPickleSteps - 10;
  EXPECT_EQ(read(kTwo + "N" + std::string(many, '\x85') + ".").root().kind, Kind::tuple);  // nested
  EXPECT_EQ(read(kTwo + std::string(many, '(') + "N.").root().kind, Kind::none);
  EXPECT_EQ(read(kTwo + "Nr\xff\xff\xff\xff."s).root().kind, Kind::none);  // a memo of four billion entries
  EXPECT_THAT(refused(kTwo + std::string(kMaxPickleSteps + 1, 'N'), ErrorCode::unsupported),
              HasSubstr("more than 2000000 instructions"));
  // A list of 20,000 pairs, of which each of 1,000 calls would copy all.
  std::string pairs = kTwo + "]q\x01(", calls;
  for (int i = 0; i < 20'000; ++i)
    pairs +=
        "]q\x02(K\x01K\x02"
        "e";
  for (int i = 0; i < 1'000; ++i) calls += "ccollections\nOrderedDict\nh\x01\x85R0";
  EXPECT_THAT(refused(pairs + "e0" + calls + "N.", ErrorCode::unsupported), HasSubstr("more than 2000000"));
}

}  // namespace
}  // namespace mlxe::pickle_test
