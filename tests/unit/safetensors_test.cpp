#include "format/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlx_encoder/error.h"
#include "test_files.h"

namespace mlxe::safetensors_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A whole file: length, header as given, then `data` zero bytes.
std::string file_with(const std::string& header, size_t data) {
  std::string text(8, '\0');
  for (int i = 0; i < 8; ++i) text[static_cast<size_t>(i)] = static_cast<char>(header.size() >> (8 * i));
  return text + header + std::string(data, '\0');
}

std::string error_of(const std::string& file, ErrorCode expected = ErrorCode::format) {
  return test::error_text([&] { parse_safetensors(bytes_of(file), "m.safetensors"); }, expected);
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const std::string file = file_with(
      R"({"__metadata__":{"format":"mlx"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},)"
      R"("a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"empty":{"dtype":"I8","shape":[0,3],"data_offsets":[10,10]}}   )",
      10);
  const TensorContent content = parse_safetensors(bytes_of(file), "m.safetensors");
  ASSERT_EQ(content.tensors.size(), 3u);
  EXPECT_EQ(content.tensors[0].name, "a");
  EXPECT_EQ(content.tensors[0].dtype, Dtype::bf16);
  EXPECT_EQ(content.tensors[0].shape, Shape{});
  EXPECT_EQ(content.tensors[1].name, "b");
  EXPECT_THAT(content.tensors[1].shape, ElementsAre(2, 1));
  EXPECT_EQ(content.tensors[1].data.size(), 8u);
  EXPECT_EQ(content.tensors[2].data.size(), 0u);
  EXPECT_EQ(content.metadata.at("format"), "mlx");
}

struct BadHeader {
  const char* what;
  std::string header;
  size_t data;
  const char* message;
};

class SafetensorsBadHeader : public ::testing::TestWithParam<BadHeader> {};

TEST_P(SafetensorsBadHeader, IsOneClearSentence) {
  EXPECT_THAT(error_of(file_with(GetParam().header, GetParam().data)),
              testing::AllOf(HasSubstr("m.safetensors: "), HasSubstr(GetParam().message)));
}

const BadHeader kBadHeaders[] = {
    {"empty", "", 0, "does not begin with"},
    {"array", "[]", 0, "does not begin with"},
    {"leading_space", " {}", 0, "does not begin with"},
    {"truncated_json", R"({"a":{"dtype":"F32")", 0, "not valid JSON"},
    {"text_after", "{} x", 0, "not valid JSON"},
    {"not_utf8", "{\"a\xff\":1}", 0, "not UTF-8"},
    {"twice",
     R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
     2, "\"a\" is listed twice"},
    {"dtype_twice", R"({"a":{"dtype":"I8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "\"dtype\""},
    {"metadata_twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, "listed twice"},
    {"metadata_number", R"({"__metadata__":{"a":1}})", 0, "a number"},
    {"metadata_is_string", R"({"__metadata__":"a"})", 0, "a string"},
    {"tensor_is_number", R"({"a":7})", 0, "a number"},
    {"tensor_is_list", R"({"a":[1]})", 0, "a list"},
    {"deep_object", R"({"a":{"dtype":{"x":1}}})", 0, "an object"},
    {"deep_list", R"({"a":{"shape":[[1]]}})", 0, "a list"},
    {"no_dtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "no \"dtype\""},
    {"no_shape", R"({"a":{"dtype":"I8","data_offsets":[0,1]}})", 1, "no \"shape\""},
    {"no_offsets", R"({"a":{"dtype":"I8","shape":[1]}})", 1, "no \"data_offsets\""},
    {"one_offset", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0]}})", 1, "has 1 numbers"},
    {"unknown_key", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"extra":"x"}})", 1, "\"extra\""},
    {"negative_dim", R"({"a":{"dtype":"I8","shape":[-1],"data_offsets":[0,1]}})", 1, "negative"},
    {"fraction_dim", R"({"a":{"dtype":"I8","shape":[1.0],"data_offsets":[0,1]}})", 1, "1.0"},
    {"huge_dim", R"({"a":{"dtype":"I8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1,
     "past 2^63"},
    {"past_u64", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,18446744073709551616]}})", 1,
     "whole number"},
    {"overflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}})",
     0, "2^63"},
    {"past_end", R"({"a":{"dtype":"I8","shape":[9],"data_offsets":[0,9]}})", 8, "outside the 8 bytes"},
    {"reversed", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[2,1]}})", 2, "outside"},
    {"size_lies", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
     "needs 12 bytes, data_offsets give 8"},
    {"size_too_large", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8,
     "needs 4 bytes, data_offsets give 8"},
    {"overlap",
     R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})",
     3, "\"a\" and \"b\" overlap"},
    {"same_place",
     R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})",
     2, "overlap"},
    {"hole_first", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})", 2, "1 bytes before \"a\""},
    {"hole",
     R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I8","shape":[1],"data_offsets":[3,4]}})",
     4, "2 bytes before \"b\""},
    {"rest", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 4, "3 bytes after"},
    {"boolean", R"({"a":{"dtype":true}})", 0, "true or false"},
    {"null", R"({"a":null})", 0, "null"},
};

INSTANTIATE_TEST_SUITE_P(All, SafetensorsBadHeader, ::testing::ValuesIn(kBadHeaders),
                         [](const auto& row) { return std::string(row.param.what); });

TEST(Safetensors, RefusesLyingLengths) {
  EXPECT_THAT(error_of(""), HasSubstr("0 bytes, too short"));
  EXPECT_THAT(error_of("1234567"), HasSubstr("7 bytes, too short"));
  EXPECT_THAT(error_of(std::string("\x08\0\0\0\0\0\0\0{}", 10)), HasSubstr("claims 8 bytes, 2 are left"));
  EXPECT_THAT(error_of(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)),
              HasSubstr("more than the format's limit"));
  EXPECT_THAT(error_of(std::string("\x00\xe1\xf5\x05\0\0\0\0{}", 10)),
              HasSubstr("claims 100000000 bytes, 2 are left"));
  EXPECT_THAT(error_of(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)), HasSubstr("limit of 100000000"));
}

TEST(Safetensors, NamesTheTensorOfADtypeItCannotRead) {
  const std::string text = error_of(
      file_with(R"({"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4), ErrorCode::unsupported);
  EXPECT_THAT(text, testing::AllOf(HasSubstr("\"w\""), HasSubstr("F8_E4M3")));
}

TEST(Safetensors, HostileNamesAreShownEscapedAndShort) {
  const std::string name = "\\u001b[31m" + std::string(5000, 'x');
  const std::string text = error_of(file_with("{\"" + name + "\":{}}", 0));
  EXPECT_LT(text.size(), 300u);
  EXPECT_EQ(text.find('\x1b'), text.npos);
}

}  // namespace
}  // namespace mlxe::safetensors_test
