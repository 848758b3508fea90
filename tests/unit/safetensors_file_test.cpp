// Whole files, written by the reference implementation or by us.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <csignal>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/half.h"
#include "format/safetensors.h"
#include "test_files.h"

namespace mlxe::safetensors_file_test {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kGolden = std::filesystem::path(MLXE_TEST_DATA) / "safetensors";

std::vector<std::byte> some_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 131 + i / 251);
  return bytes;
}

TEST(SafetensorsFile, ReadsEveryDtypeAsTorchDoes) {
  const SafetensorsFile file(kGolden / "all_dtypes.safetensors");
  const auto expected = nlohmann::json::parse(test::read_file(kGolden / "all_dtypes.json"));
  EXPECT_EQ(file.metadata().at("note"), "quote \" and \u00e9");
  ASSERT_EQ(file.tensors().size(), expected.size());
  for (const auto& [name, golden] : expected.items()) {
    const TensorView* tensor = file.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, golden.at("shape").get<Shape>()) << name;
    const std::vector<float> values = to_floats(*tensor);
    const auto bits = golden.at("bits").get<std::vector<int32_t>>();
    ASSERT_EQ(values.size(), bits.size()) << name;
    for (size_t i = 0; i < values.size(); ++i)  // conversion rounds to nearest in both, so bit for bit
      EXPECT_EQ(std::bit_cast<int32_t>(values[i]), bits[i]) << name << "[" << i << "] = " << values[i];
  }
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(SafetensorsFile, ConvertsAtAnyAlignment) {
  const std::vector<std::byte> bytes = some_bytes(8 * 16 + 8);
  for (int d = 0; d <= static_cast<int>(Dtype::boolean); ++d) {
    const auto dtype = static_cast<Dtype>(d);
    const size_t size = 16 * size_of(dtype);
    std::vector<float> aligned(16), shifted(16);
    to_float(dtype, std::span(bytes).first(size), aligned);
    std::vector<std::byte> moved(size + 1);
    std::copy_n(bytes.begin(), size, moved.begin() + 1);
    to_float(dtype, std::span(moved).subspan(1), shifted);
    EXPECT_EQ(std::memcmp(aligned.data(), shifted.data(), 16 * sizeof(float)), 0) << name(dtype);
  }
}

TEST(SafetensorsFile, RefusesAWrongCount) {
  std::vector<float> out(3);
  test::error_text([&] { to_float(Dtype::f16, some_bytes(4), out); }, ErrorCode::internal);
}

TEST(SafetensorsFile, NamesTheFileThatIsMissing) {
  EXPECT_THAT(test::error_text([] { SafetensorsFile("/no/such/model.safetensors"); }, ErrorCode::not_found),
              HasSubstr("/no/such/model.safetensors"));
}

// The real file cut at every length must be refused, never read past its end (ASan watches).
TEST(SafetensorsFile, RefusesEveryTruncation) {
  const std::string whole = test::read_file(kGolden / "all_dtypes.safetensors");
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto bytes = std::as_bytes(std::span(whole)).first(size);
    const std::vector<std::byte> cut(bytes.begin(), bytes.end());  // of exactly this size
    EXPECT_THROW(parse_safetensors(cut, "cut"), Error) << size;
  }
}

class SafetensorsWriterTest : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.safetensors";
  std::vector<TensorSpec> specs_{{"b \"quoted\"", Dtype::f16, {3, 5}},
                                 {"a", Dtype::i8, {7}},
                                 {"none", Dtype::f32, {0, 4}},
                                 {"\u00e9", Dtype::u32, {}},
                                 {"large", Dtype::f32, {700, 800}}};
  SafetensorsWriter::Metadata metadata_{{"format", "mlx"}, {"note", "line\nbreak"}};

  void write() {
    SafetensorsWriter writer(path_, specs_, metadata_);
    for (const TensorSpec& spec : specs_) {
      const auto bytes = some_bytes(spec.bytes());
      const size_t half = bytes.size() / 2;
      writer.write(spec.name, std::span(bytes).first(half));
      writer.write(spec.name, std::span(bytes).subspan(half));
    }
    writer.finish();
  }
};

TEST_F(SafetensorsWriterTest, WritesWhatItReads) {
  write();
  EXPECT_EQ(std::filesystem::file_size(path_), SafetensorsWriter::predicted_size(specs_, metadata_));
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata(), metadata_);
  ASSERT_EQ(file.tensors().size(), specs_.size());
  EXPECT_EQ(static_cast<size_t>(file.tensors()[0].data.data() - file.bytes().data()) % 8, 0u);
  for (size_t i = 0; i < specs_.size(); ++i) {
    const TensorView& tensor = *file.find(specs_[i].name);
    EXPECT_EQ(tensor.dtype, specs_[i].dtype);
    EXPECT_EQ(tensor.shape, specs_[i].shape);
    const auto expected = some_bytes(specs_[i].bytes());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), tensor.data.begin(), tensor.data.end()))
        << tensor.name;
  }
}

TEST_F(SafetensorsWriterTest, IsDeterministic) {
  write();
  const std::string first = test::read_file(path_);
  write();
  EXPECT_EQ(first, test::read_file(path_));
}

TEST_F(SafetensorsWriterTest, WritesTheExpectedHeader) {
  SafetensorsWriter writer(path_, {{"w", Dtype::bf16, {1, 2}}}, {{"format", "mlx"}});
  writer.write("w", some_bytes(4));
  writer.finish();
  const std::string header =
      R"({"__metadata__":{"format":"mlx"},"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(test::read_file(path_).substr(8, padded.size()), padded);
  EXPECT_EQ(static_cast<size_t>(test::read_file(path_)[0]), padded.size());
}

TEST_F(SafetensorsWriterTest, WithoutTensorsOrMetadata) {
  SafetensorsWriter(path_, {}, {}).finish();
  EXPECT_EQ(SafetensorsFile(path_).tensors().size(), 0u);
}

TEST_F(SafetensorsWriterTest, AnUnfinishedFileIsRemoved) {
  {
    SafetensorsWriter writer(path_, specs_, metadata_);
    writer.write(specs_[0].name, some_bytes(10));
    EXPECT_FALSE(std::filesystem::is_empty(path_.parent_path())) << "a temporary file";
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(path_.parent_path()));
}

TEST_F(SafetensorsWriterTest, RefusesMisuse) {
  test::error_text(
      [&] {
        SafetensorsWriter(path_, {{"a", Dtype::i8, {1}}, {"a", Dtype::i8, {1}}}, {});
      },
      ErrorCode::usage);
  test::error_text(
      [&] {
        SafetensorsWriter(path_, {{"__metadata__", Dtype::i8, {1}}}, {});
      },
      ErrorCode::usage);
  SafetensorsWriter writer(path_, specs_, {});
  test::error_text([&] { writer.write("a", some_bytes(7)); }, ErrorCode::internal);
  test::error_text([&] { writer.write(specs_[0].name, some_bytes(31)); }, ErrorCode::internal);
  writer.write(specs_[0].name, some_bytes(29));
  EXPECT_THAT(test::error_text([&] { writer.finish(); }, ErrorCode::internal), HasSubstr("incomplete"));
}

TEST_F(SafetensorsWriterTest, AsksForSpaceBeforeItWrites) {
  const std::string text = test::error_text(
      [&] {
        SafetensorsWriter(path_, {{"w", Dtype::f32, {int64_t{1} << 29, int64_t{1} << 25}}}, {});
      },
      ErrorCode::io);
  EXPECT_THAT(text, testing::AllOf(HasSubstr(" bytes needed, "), HasSubstr(" free")));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// A limit on the file size simulates a full disk.
TEST_F(SafetensorsWriterTest, AWriteThatFailsLeavesNoFile) {
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit limited { 100'000, old.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  const std::string text = test::error_text([&] { write(); }, ErrorCode::io);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  EXPECT_THAT(text, HasSubstr("can't be written"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// A volume of 1 MiB that another file fills between the check and the write.
TEST_F(SafetensorsWriterTest, AFullDiskSaysWhatIsMissing) {
  const auto volume = folder_ / "volume";
  std::filesystem::create_directory(volume);
  if (::mount("tmpfs", volume.c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "mounting a volume needs root";
  std::string text;
  {
    path_ = volume / "model.safetensors";
    const auto bytes = some_bytes(900'000);
    SafetensorsWriter writer(path_, {{"w", Dtype::i8, {900'000}}}, {});
    test::write_file(volume / "other", std::string(600'000, 'x'));
    text = test::error_text(
        [&] {
          writer.write("w", bytes);
          writer.finish();
        },
        ErrorCode::io);
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  ::umount(volume.c_str());
  EXPECT_THAT(text, testing::AllOf(HasSubstr(" bytes needed, "), HasSubstr(" free; make room")));
}

}  // namespace
}  // namespace mlxe::safetensors_file_test
