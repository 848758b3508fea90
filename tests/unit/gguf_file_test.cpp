// Files of llama.cpp's converter (tools/make_gguf_goldens.py), hand-made ones and damaged ones.
#include "format/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "damage.h"
#include "format/gguf_weights.h"
#include "format/safetensors.h"
#include "gguf_bytes.h"
#include "test_files.h"

namespace mlxe::gguf_file_test {
namespace {

using test::error_text;
using test::GgufBytes;
using test::little;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::filesystem::path kGguf = std::filesystem::path(MLXE_TEST_DATA) / "gguf";

std::span<const std::byte> bytes_of(const std::string& file) {
  return std::as_bytes(std::span(file));
}
TensorContent parse(const std::string& file) {
  return parse_gguf(bytes_of(file), "m.gguf");
}
std::string refused(const std::string& file, ErrorCode code) {
  return error_text([&] { parse(file); }, code);
}

GgufBytes a_bert() {
  GgufBytes file;
  file.text("general.architecture", "bert");
  return file;
}

// ---- types of tensors

TEST(GgufTypes, AreDecodedToTheBitsOfGgufPy) {
  const TensorFile file(kGguf / "types.gguf", parse_gguf);
  const SafetensorsFile expected(kGguf / "types.safetensors");
  EXPECT_EQ(file.tensors().size(), expected.tensors().size());
  for (const TensorView& tensor : file.tensors()) {
    const TensorView* golden = expected.find(tensor.name);
    ASSERT_NE(golden, nullptr) << tensor.name;
    EXPECT_EQ(tensor.shape, golden->shape) << tensor.name;
    const std::vector<float> values = to_floats(tensor);
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(values)), golden->data)) << tensor.name;
    const bool is_plain = tensor.name == "F32" || tensor.name == "F16" || tensor.name == "BF16";
    EXPECT_EQ(tensor.mapped, is_plain) << tensor.name;
  }
}

// The twin: each byte of a block changes what is decoded.
TEST(GgufTypes, EveryByteOfABlockCounts) {
  const std::string whole = test::read_file(kGguf / "types.gguf");
  const GgufFile file = GgufFile::parse(bytes_of(whole), "types.gguf");
  for (const GgufTensor& tensor : file.tensors) {
    if (tensor.known->plain) continue;
    const std::vector<float> values = gguf_floats(file, tensor);
    for (size_t i = 0; i < tensor.known->bytes; ++i) {
      std::vector<std::byte> changed(tensor.data.begin(), tensor.data.end());
      changed[i] ^= std::byte{0x11};
      GgufTensor other = tensor;
      other.data = changed;
      EXPECT_NE(gguf_floats(file, other), values) << tensor.name << " byte " << i;
    }
  }
}

TEST(GgufTypes, ThatAreNotReadAreNamed) {
  for (const auto& [number, name] :
       {std::pair(16u, "IQ2_XXS"), std::pair(9u, "Q8_1"), std::pair(77u, "number 77")}) {
    GgufBytes file = a_bert();
    file.tensor("token_embd.weight", {256, 2}, number, 0).data = std::string(256, '\0');
    EXPECT_THAT(refused(file.bytes(), ErrorCode::unsupported),
                AllOf(HasSubstr("m.gguf: \"token_embd.weight\" has the type "), HasSubstr(name)));
  }
}

// ---- the header

TEST(GgufFile, HasValuesOfAllKinds) {
  GgufBytes file;
  file.add("u8", 0, little<uint8_t>(200))
      .add("i8", 1, little<int8_t>(-2))
      .add("u16", 2, little<uint16_t>(60000));
  file.add("i16", 3, little<int16_t>(-3)).number("u32", 4'000'000'000).add("i32", 5, little<int32_t>(-4));
  file.real("f32", 0.5F).flag("flag", true).text("text", "Grüße").texts("texts", {"a", "", "bc"});
  file.add("u64", 10, little<uint64_t>(1)).add("i64", 11, little<int64_t>(-5)).add("f64", 12, little(0.25));
  file.add("huge", 10, little<uint64_t>(uint64_t{1} << 63));
  file.add("numbers", 9,
           little<uint32_t>(5) + little<uint64_t>(2) + little<int32_t>(-1) + little<int32_t>(7));
  const std::string text = file.bytes();
  const GgufFile read = GgufFile::parse(bytes_of(text), "m.gguf");
  EXPECT_EQ(read.integer("u8"), 200);
  EXPECT_EQ(read.integer("i8"), -2);
  EXPECT_EQ(read.integer("u16"), 60000);
  EXPECT_EQ(read.integer("i16"), -3);
  EXPECT_EQ(read.integer("u32"), 4'000'000'000);
  EXPECT_EQ(read.integer("i32"), -4);
  EXPECT_EQ(read.integer("u64"), 1);
  EXPECT_EQ(read.integer("i64"), -5);
  EXPECT_EQ(read.number("u8"), 200.0);
  EXPECT_EQ(read.number("f32"), 0.5);
  EXPECT_EQ(read.number("f64"), 0.25);
  EXPECT_EQ(read.number("huge"), 0x1p63);
  EXPECT_EQ(read.flag("flag"), true);
  EXPECT_EQ(read.text("text"), "Grüße");
  EXPECT_EQ(read.texts("texts"), (std::vector<std::string>{"a", "", "bc"}));
  EXPECT_EQ(read.numbers("numbers"), (std::vector<double>{-1, 7}));
  EXPECT_EQ(read.integer("absent"), std::nullopt);
  EXPECT_THAT(error_text([&] { read.integer("text"); }, ErrorCode::format),
              HasSubstr("\"text\" is a text, expected a whole number"));
  EXPECT_THAT(error_text([&] { read.texts("numbers"); }, ErrorCode::format), HasSubstr("expected texts"));
  EXPECT_TRUE(read.unused_keys().empty());
}

TEST(GgufFile, OfOtherVersionsIsRefused) {
  GgufBytes file = a_bert();
  file.version = 2;
  EXPECT_NO_THROW(parse(file.bytes()));
  file.version = 1;
  EXPECT_THAT(refused(file.bytes(), ErrorCode::unsupported), HasSubstr("is GGUF version 1, expected 2 or 3"));
  file.version = 3U << 24;
  EXPECT_THAT(refused(file.bytes(), ErrorCode::unsupported), HasSubstr("stores numbers big end first"));
  EXPECT_THAT(refused("", ErrorCode::format), HasSubstr("0 bytes that do not begin with \"GGUF\""));
  EXPECT_THAT(refused("version https://git-lfs.github.com/spec/v1\n", ErrorCode::format),
              HasSubstr("Git LFS"));
}

TEST(GgufFile, CountsAndLengthsThatLieAreRefused) {
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  const auto with = [](auto change) {
    GgufBytes file = a_bert();
    change(file);
    return file.bytes();
  };
  const std::string complete = "is the download complete?";
  for (const auto& [file, message] : std::vector<std::pair<std::string, std::string>>{
           {with([&](GgufBytes& f) { f.value_count = kHuge; }), "the key \"\" is there twice"},
           {with([&](GgufBytes& f) { f.tensor_count = kHuge; }), complete},
           {with([&](GgufBytes& f) { f.add("k", 8, little(kHuge)); }), complete},
           {with([&](GgufBytes& f) { f.add("k", 9, little<uint32_t>(8) + little(kHuge)); }), complete},
           {with([&](GgufBytes& f) { f.add("k", 9, little<uint32_t>(0) + little(kHuge)); }),
            "\"k\" has 1152921504606846976 elements, but"},
           {with([&](GgufBytes& f) { f.add("k", 9, little<uint32_t>(12) + little(kHuge * 2 + 1)); }),
            "elements, but"},
           {with([&](GgufBytes& f) { f.add("k", 13, ""); }), "has the type 13, expected 0 to 12"},
           {with([&](GgufBytes& f) { f.text("general.architecture", "bert"); }), "is there twice"},
           {with([&](GgufBytes& f) {
              f.tensor("t", {1, 1, 1, 1, 1}, 0, 0);
            }),
            "has 5 dimensions, expected at most 4"},
           {with([&](GgufBytes& f) {
              f.tensor("t", {kHuge, kHuge}, 0, 0);
            }),
            "more than 2^63 bytes"},
           {with([&](GgufBytes& f) { f.tensor("t", {uint64_t{1} << 63}, 0, 0); }), "has the dimension"},
           {with([&](GgufBytes& f) {
              f.tensor("t", {31, 2}, 8, 0);
            }),
            "in blocks of 32, which do not fill its rows"},
           {with([&](GgufBytes& f) { f.tensor("t", {}, 8, 0); }), "is a single value of the type Q8_0"},
           {with([&](GgufBytes& f) { f.tensor("t", {8}, 0, 0); }), "but the tensors take 0 bytes"},
           {with([&](GgufBytes& f) { f.zeros("t", {8}).tensor("u", {8}, 0, ~uint64_t{31}); }), complete},
           {with([&](GgufBytes& f) { f.zeros("t", {8}).tensor("u", {4}, 0, 4); }),
            "expected a multiple of 32"},
           {with([&](GgufBytes& f) { f.zeros("t", {8}).tensor("u", {8}, 0, 0); }),
            "two tensors overlap at byte 0"},
           {with([&](GgufBytes& f) { f.zeros("t", {8}).zeros("t", {8}); }),
            "the tensor \"t\" is there twice"},
           {with([&](GgufBytes& f) { f.number("general.alignment", 0).zeros("t", {8}); }),
            "expected a power of two"},
           {with([&](GgufBytes& f) { f.number("general.alignment", 24).zeros("t", {8}); }),
            "expected a power of two"},
       })
    EXPECT_THAT(refused(file, ErrorCode::format), AllOf(HasSubstr("m.gguf: "), HasSubstr(message)));
  EXPECT_THAT(refused(with([&](GgufBytes& f) { f.add("k", 9, little<uint32_t>(9) + little<uint64_t>(1)); }),
                      ErrorCode::unsupported),
              HasSubstr("an array of arrays"));
}

TEST(GgufFile, OfAnotherModelIsNamed) {
  GgufBytes file;
  EXPECT_THAT(refused(file.bytes(), ErrorCode::format), HasSubstr("has no \"general.architecture\""));
  file.text("general.architecture", "llama");
  EXPECT_THAT(
      refused(file.bytes(), ErrorCode::unsupported),
      HasSubstr("is \"llama\"; this version reads bert, nomic-bert, modern-bert, jina-bert-v2, qwen3, "
                "gemma-embedding"));
  GgufBytes part = a_bert();
  part.add("split.count", 2, little<uint16_t>(3));
  EXPECT_THAT(refused(part.bytes(), ErrorCode::unsupported), HasSubstr("llama-gguf-split --merge"));
}

// ---- what the converter did is undone

TEST(GgufTensors, OfOneRowHaveTwoDimensions) {
  GgufBytes file = a_bert();
  file.zeros("token_types.weight", {8}).zeros("token_embd_norm.weight", {8});
  const std::string text = file.bytes();
  const TensorContent content = parse(text);
  EXPECT_EQ(content.tensors[0].shape, (Shape{1, 8}));
  EXPECT_EQ(content.tensors[1].shape, (Shape{8}));
}

TEST(GgufTensors, OfQueriesKeysAndValuesAreTakenApart) {
  GgufBytes file;
  file.text("general.architecture", "qwen3").number("qwen3.attention.head_count", 4);
  file.number("qwen3.attention.head_count_kv", 2);
  file.tensor("blk.1.attn_qkv.weight", {2, 16}, 0, 0);
  for (int i = 0; i < 32; ++i) file.data += little(static_cast<float>(i));
  const std::string text = file.bytes();
  const TensorContent content = parse(text);
  ASSERT_EQ(content.tensors.size(), 3u);
  EXPECT_EQ(content.tensors[0].name, "layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(content.tensors[0].shape, (Shape{8, 2}));
  EXPECT_EQ(content.tensors[2].name, "layers.1.self_attn.v_proj.weight");
  EXPECT_EQ(to_floats(content.tensors[2]), (std::vector<float>{24, 25, 26, 27, 28, 29, 30, 31}));
}

// Older converters stored them so.
TEST(GgufTensors, OfAGateAndWhatItGatesArePutTogether) {
  GgufBytes file;
  file.text("general.architecture", "jina-bert-v2");
  file.tensor("blk.0.ffn_gate.weight", {8, 1}, 0, 0).tensor("blk.0.ffn_up.weight", {8, 1}, 0, 32);
  for (int i = 0; i < 16; ++i) file.data += little(static_cast<float>(i));
  const auto both = [&](const std::string& text) {
    const TensorContent content = parse(text);
    const auto found = std::ranges::find_if(
        content.tensors, [](const TensorView& t) { return t.name.find("gated_layer") != std::string::npos; });
    EXPECT_EQ(found->shape, (Shape{2, 8}));
    return std::pair(found->name, to_floats(*found)[0]);
  };
  EXPECT_EQ(both(file.bytes()), std::pair(std::string("encoder.layer.0.mlp.gated_layers.weight"), 0.0F));
  file.zeros("blk.0.attn_q_norm.weight", {8});  // jina-embeddings-v2-base-code, whose gate comes second
  EXPECT_EQ(both(file.bytes()), std::pair(std::string("encoder.layer.0.mlp.up_gated_layer.weight"), 8.0F));
}

TEST(GgufTensors, ATableThatADistilBertLacksAddsNothing) {
  GgufBytes file = a_bert();
  file.zeros("token_embd.weight", {8, 3});
  const std::string text = file.bytes();
  const TensorContent content = parse(text);
  ASSERT_EQ(content.tensors.size(), 2u);
  EXPECT_EQ(content.tensors[1].name, "embeddings.token_type_embeddings.weight");
  EXPECT_EQ(to_floats(content.tensors[1]), std::vector<float>(8, 0.0F));
}

// ---- damage

TEST(GgufFile, EveryTruncationOfItsHeaderIsRefused) {
  const std::string whole = test::read_file(kGguf / "types.gguf");
  for (size_t size = 0; size < whole.size(); size += size < 1500 ? 1 : 97)
    EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
}

TEST(GgufFile, AThousandDamagedFilesGiveTensorsOrASentence) {
  std::mt19937 random(7);
  for (const char* name : {"types.gguf", "bert.gguf", "jina_bert.gguf", "gemma.gguf", "roberta.gguf"}) {
    const std::string whole = test::read_file(kGguf / name);
    const size_t header = name == std::string("types.gguf") ? 1200 : 12000;
    for (int i = 0; i < 200; ++i) {
      const std::string file = test::damaged(whole, random, i % 4 == 0 ? whole.size() : header);
      test::expect_tensors_or_a_sentence(parse, file);
    }
  }
}

}  // namespace
}  // namespace mlxe::gguf_file_test
