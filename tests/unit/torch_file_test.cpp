// Files of torch.save (tools/make_torch_goldens.py), hand-made ones and damaged ones.
#include "format/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "damage.h"
#include "format/pickle.h"
#include "format/safetensors.h"
#include "test_files.h"

namespace mlxe::torch_file_test {
namespace {

using namespace std::string_literals;
using test::error_text;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::filesystem::path kGolden = std::filesystem::path(MLXE_TEST_DATA) / "torch";

TensorContent parse(const std::string& file) {
  return parse_torch(std::as_bytes(std::span(file)), "m.bin");
}

std::string refused(const std::string& file, ErrorCode code) {
  return error_text([&] { parse(file); }, code);
}

void expect_equal(std::span<const TensorView> tensors, std::span<const TensorView> expected) {
  ASSERT_EQ(tensors.size(), expected.size());
  for (size_t i = 0; i < tensors.size(); ++i) {  // in the order of safetensors
    EXPECT_EQ(tensors[i].name, expected[i].name);
    EXPECT_EQ(tensors[i].dtype, expected[i].dtype) << tensors[i].name;
    EXPECT_EQ(tensors[i].shape, expected[i].shape) << tensors[i].name;
    EXPECT_TRUE(std::ranges::equal(tensors[i].data, expected[i].data)) << tensors[i].name;
  }
}

class TorchForm : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchForm, HasTorchsTensors) {
  const TensorFile file(kGolden / GetParam(), parse_torch);
  expect_equal(file.tensors(), SafetensorsFile(kGolden / "expected.safetensors").tensors());
  // Only what does not lie contiguously is copied, and shared storages stay shared.
  std::vector<std::string> copied;
  for (const TensorView& tensor : file.tensors())
    if (!tensor.mapped) copied.push_back(tensor.name);
  EXPECT_THAT(copied, ElementsAre("columns", "every_other", "expanded", "transposed", "permuted"));
  EXPECT_EQ(file.find("table")->data.data(), file.find("shared")->data.data());
  EXPECT_EQ(file.find("table")->data.data() + 24, file.find("rows")->data.data());
  for (const TensorView& tensor : file.tensors()) file.release(tensor.data);
  expect_equal(file.tensors(), SafetensorsFile(kGolden / "expected.safetensors").tensors());
}

INSTANTIATE_TEST_SUITE_P(All, TorchForm,
                         ::testing::Values("zip2.bin", "zip4.bin", "zip64.bin", "legacy2.bin", "legacy3.bin",
                                           "legacy5.bin"),
                         [](const auto& test) {
                           return std::string(test.param, std::string_view(test.param).find('.'));
                         });

TEST(TorchFile, ReadsDtypesWithoutAStorageOfTheirOwn) {
  expect_equal(TensorFile(kGolden / "unsigned.bin", parse_torch).tensors(),
               SafetensorsFile(kGolden / "unsigned.safetensors").tensors());
}

TEST(TorchFile, WhatIsNotReadIsNamed) {
  for (const auto& [file, message] : {
           std::pair("checkpoint",
                     "\"epoch\" is a number, expected a tensor; save the model's state_dict() alone"),
           std::pair("list", "holds a list, expected a dictionary of tensors"),
           std::pair("complex", "\"a\" has dtype complex64, which this version can't read"),
           std::pair("float8", "\"a\" has dtype float8_e4m3fn, which this version can't read"),
           std::pair("sparse", "wants to call \"torch._utils._rebuild_sparse_tensor\""),
           std::pair("module", "wants to call \"torch.nn.modules.linear.Linear\""),
           std::pair("compressed", "is compressed or encrypted, expected stored bytes"),
           std::pair("big_endian", "its bytes are in the order \"big\""),
           std::pair("torchscript", "holds a TorchScript program"),
       })
    EXPECT_THAT(refused(test::read_file(kGolden / ("refused_"s + file + ".bin")), ErrorCode::unsupported),
                AllOf(HasSubstr("m.bin: "), HasSubstr(message)));
  EXPECT_THAT(refused(test::read_file(kGolden / "refused_two_pickles.bin"), ErrorCode::format),
              HasSubstr("2 entries NAME/data.pkl"));
  for (const auto& [file, message] : {std::pair(""s, "0 bytes that begin with neither"),
                                      std::pair("hello"s, "5 bytes that begin with neither"),
                                      std::pair("version https://git-lfs.github.com/spec/v1\n"s, "Git LFS"),
                                      std::pair("PK\x03\x04"s, "the zip archive is damaged"),
                                      std::pair("\x80\x02N."s, "without torch's magic number")})
    EXPECT_THAT(refused(file, ErrorCode::format), HasSubstr(message));
}

// ---- hand-made legacy files

std::string text(std::string_view value) {
  return "\x8c"s + static_cast<char>(value.size()) + std::string(value);
}
std::string number(int64_t value) {
  std::string result = "\x8a\x08";
  for (int i = 0; i < 8; ++i) result += static_cast<char>(value >> (8 * i));
  return result;
}
std::string tuple(const std::vector<std::string>& items) {
  std::string result = "(";
  for (const std::string& item : items) result += item;
  return result + "t";
}
std::string numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(number(value));
  return tuple(items);
}
std::string storage(int64_t count, const std::string& type = "ctorch\nFloatStorage\n",
                    const std::string& part = "N", const std::string& key = "0") {
  return tuple({text("storage"), type, text(key), text("cpu"), number(count), part}) + "Q";
}
std::string tensor(const std::string& storage, const std::string& offset, const std::string& shape,
                   const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n" + tuple({storage, offset, shape, strides, "\x89", "N"}) + "R";
}
std::string pickled(const std::string& value) {
  return "\x80\x02" + value + ".";
}
std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}
std::string size8(uint64_t count) {
  return number(static_cast<int64_t>(count)).substr(2);
}

// A file with the entry "a" and one storage of the key "0".
std::string legacy(const std::string& value, const std::vector<float>& stored, const std::string& keys = "",
                   const std::string& machine = "}") {
  return pickled("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickled("M\xe9\x03") +
         pickled(machine) + pickled("}" + text("a") + value + "s") +
         pickled("]" + (keys.empty() ? text("0") + "a" : keys)) + size8(stored.size()) + floats(stored);
}
std::string legacy(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return legacy(tensor(storage(6), number(offset), numbers(shape), numbers(strides)), {0, 1, 2, 3, 4, 5});
}

TEST(TorchFile, ViewsLieAnywhereInTheirStorage) {
  struct Case {
    int64_t offset;
    std::vector<int64_t> shape, strides;
    std::vector<float> values;
  };
  for (const Case& c : std::vector<Case>{{0, {6}, {1}, {0, 1, 2, 3, 4, 5}},
                                         {5, {}, {}, {5}},
                                         {1, {2, 2}, {2, 1}, {1, 2, 3, 4}},
                                         {1, {2, 2}, {1, 2}, {1, 3, 2, 4}},
                                         {1, {2}, {4}, {1, 5}},
                                         {3, {2, 2}, {0, 0}, {3, 3, 3, 3}},
                                         {0, {1, 3, 1}, {99, 2, 77}, {0, 2, 4}},
                                         {0, {2, 1, 2}, {3, 1, 2}, {0, 2, 3, 5}},
                                         {9, {3, 0}, {1, 1}, {}}}) {
    const std::string file = legacy(c.offset, c.shape, c.strides);
    const TensorContent content = parse(file);
    ASSERT_EQ(content.tensors.size(), 1u);
    EXPECT_EQ(content.tensors[0].shape, c.shape);
    EXPECT_EQ(to_floats(content.tensors[0]), c.values);
  }
}

// torch before 0.4 stored parts of storages.
TEST(TorchFile, APartOfAStorageIsRead) {
  const std::string part = tuple({text("1"), number(2), number(3)});
  const std::string file =
      legacy(tensor(storage(6, "ctorch\nFloatStorage\n", part), number(1), numbers({2}), numbers({1})),
             {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(to_floats(parse(file).tensors[0]), (std::vector<float>{3, 4}));
}

TEST(TorchFile, TensorsThatLieOutsideAreRefused) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const auto& [offset, shape, strides, message] :
       std::vector<std::tuple<int64_t, std::vector<int64_t>, std::vector<int64_t>, const char*>>{
           {1, {6}, {1}, "lie outside its storage of 24 bytes"},
           {-1, {2}, {1}, "lie outside"},
           {6, {1}, {1}, "lie outside"},
           {0, {2}, {6}, "lie outside"},
           {0, {2, 4}, {3, 1}, "lie outside"},
           {kMost, {2}, {kMost}, "lie outside"},
           {0, {3}, {kMost}, "lie outside"},
           {0, {2, 2}, {kMost, kMost}, "lie outside"},
           {0, {-1}, {1}, "an impossible shape or stride"},
           {5, {2}, {-1}, "an impossible shape or stride"},
           {0, {kMost, kMost}, {0, 0}, "has more than 2^63 bytes"},
           {0, {2}, {}, "malformed place"},
           {0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1), "at most 64 numbers"},
       })
    EXPECT_THAT(refused(legacy(offset, shape, strides), ErrorCode::format),
                AllOf(HasSubstr("m.bin: \"a\""), HasSubstr(message)));
  // One element, repeated: a bomb.
  EXPECT_THAT(refused(legacy(0, {1'000'000, 1'000'000}, {0, 0}), ErrorCode::unsupported),
              HasSubstr("\"a\" repeats its values to 4000000000000 bytes"));
}

TEST(TorchFile, WhatIsNoTensorIsRefused) {
  const std::vector<float> six{0, 1, 2, 3, 4, 5};
  const std::string good = storage(6), zero = number(0), shape = numbers({2}), strides = numbers({1});
  const std::string too_large = storage(int64_t{1} << 62);
  for (const auto& [value, code, message] : std::vector<std::tuple<std::string, ErrorCode, const char*>>{
           {"N", ErrorCode::unsupported, "\"a\" is None, expected a tensor"},
           {good, ErrorCode::unsupported, "\"a\" is a storage, expected a tensor"},
           {"ctorch._utils\n_rebuild_tensor_v2\n)R", ErrorCode::format, "with 0 arguments"},
           {"ctorch\nFloatStorage\n)R", ErrorCode::format, "is made by \"torch.FloatStorage\""},
           {tensor("N", zero, shape, strides), ErrorCode::format, "has no storage"},
           {tensor(good, "N", shape, strides), ErrorCode::format, "malformed place"},
           {tensor(good, zero, "N", strides), ErrorCode::format, "has None for a shape"},
           {tensor(good, zero, "(Nt", strides), ErrorCode::format, "an impossible shape"},
           {tensor(storage(5), zero, shape, strides), ErrorCode::format,
            "storage \"0\" has 6 elements, the pickle says 5"},
           {tensor(too_large, zero, shape, strides), ErrorCode::format, "a storage of an impossible size"},
           {tensor(storage(-1), zero, shape, strides), ErrorCode::format, "a storage of an impossible size"},
           {tensor(storage(6, "ctorch\nTensor\n"), zero, shape, strides), ErrorCode::format,
            "takes \"torch.Tensor\" for a storage"},
           {tensor(storage(24, "ctorch.storage\nUntypedStorage\n"), zero, shape, strides), ErrorCode::format,
            "storage \"0\" has 6 elements"},
           {tensor(")Q", zero, shape, strides), ErrorCode::format, "outside of it that is no storage"},
           {tensor(storage(6, "ctorch\nFloatStorage\n", tuple({text("1"), number(4), number(3)})), zero,
                   shape, strides),
            ErrorCode::format, "a part of storage \"0\" lies outside"},
           {"ctorch._tensor\n_rebuild_from_type_v2\n" + tuple({"N", "N", "N", "N"}) + "R", ErrorCode::format,
            "a malformed call"},
           {"ctorch._utils\n_rebuild_parameter\n" + tuple({"N", "\x88", "N"}) + "R", ErrorCode::unsupported,
            "is None, expected a tensor"},
       })
    EXPECT_THAT(refused(legacy(value, six, value.find('Q') == value.npos ? "]" : ""), code),
                HasSubstr(message));
  const std::string right = tensor(good, zero, shape, strides);
  EXPECT_THAT(refused(legacy(right, six, "]"), ErrorCode::format),
              HasSubstr("its storage \"0\" is not in the file"));
  EXPECT_THAT(refused(legacy(right, six, text("1") + "a"), ErrorCode::format),
              HasSubstr("no tensor has the storage \"1\""));
  EXPECT_THAT(refused(legacy(right, six, "", "}" + text("little_endian") + "\x89s"), ErrorCode::unsupported),
              HasSubstr("big end first"));
}

// ---- damage

TEST(TorchFile, RefusesEveryTruncation) {
  for (const char* name : {"zip2.bin", "legacy2.bin"}) {
    SCOPED_TRACE(name);
    test::expect_truncations_refused(parse, test::read_file(kGolden / name));
  }
}

TEST(TorchFile, AThousandDamagedFilesGiveTensorsOrASentence) {
  std::mt19937 random(7);
  for (const char* name : {"zip2.bin", "zip4.bin", "zip64.bin", "legacy2.bin", "legacy5.bin"}) {
    const std::string whole = test::read_file(kGolden / name);
    for (int i = 0; i < 200; ++i) {
      test::expect_tensors_or_a_sentence(parse, test::damaged(whole, random, whole.size()));
    }
  }
}

}  // namespace
}  // namespace mlxe::torch_file_test
