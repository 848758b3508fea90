// Parquet files of vectors, read back. tools/check_parquet.py reads them with other readers.
#include <gmock/gmock.h>

#include <algorithm>
#include <span>

#include "mlx_encoder/error.h"
#include "model_folders.h"
#include "texts/row_file.h"
#include "vectors/vector_file.h"

namespace mlxe::parquet_vectors_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::TemporaryFolder;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

Json rows_of(const fs::path& file, const ChooseColumns& choose = {}) {
  Json rows = Json::array();
  const auto take = [&](const Row& row) {
    rows.push_back(row.cells);
    return true;
  };
  read_rows(file, "", take, IfEmpty::accept, choose);
  return rows;
}

template <class T>
PackedVectors packed(Dtype dtype, int64_t columns, const std::vector<T>& values) {
  PackedVectors vectors{static_cast<int64_t>(values.size()) / columns, columns, dtype, {}};
  vectors.values.resize(values.size() * sizeof(T));
  std::ranges::copy(std::as_bytes(std::span(values)), vectors.values.begin());
  return vectors;
}

template <class T>
Json written(const TemporaryFolder& folder, Dtype dtype, const std::vector<T>& values) {
  const auto file =
      open_vector_file(folder / "v.parquet", VectorFormat::parquet, dtype, 2, VectorRows::texts);
  file->append(packed(dtype, 2, values));
  file->finish();
  return rows_of(folder / "v.parquet");
}

TEST(ParquetVectors, OfEachPrecisionAreReadBack) {
  const TemporaryFolder folder;
  EXPECT_EQ(
      written<float>(folder, Dtype::f32, {0.1F, -2, 3e-30F, 0}),
      Json::parse(R"([{"index": 0, "embedding": [0.1, -2.0]}, {"index": 1, "embedding": [3e-30, 0.0]}])"));
  EXPECT_EQ(written<uint16_t>(folder, Dtype::f16, {0x3c00, 0xc100}),
            Json::parse(R"([{"index": 0, "embedding": [1.0, -2.5]}])"));
  EXPECT_EQ(written<int8_t>(folder, Dtype::i8, {-128, 127}),
            Json::parse(R"([{"index": 0, "embedding": [-128, 127]}])"));
  EXPECT_EQ(written<uint8_t>(folder, Dtype::u8, {0, 255}),
            Json::parse(R"([{"index": 0, "embedding": [0, 255]}])"));
  EXPECT_EQ(written<float>(folder, Dtype::f32, {}), Json::array());
}

TEST(ParquetVectors, OfChunksHaveTheirPlaces) {
  const TemporaryFolder folder;
  const auto file =
      open_vector_file(folder / "v.parquet", VectorFormat::parquet, Dtype::f32, 1, VectorRows::chunks);
  Chunk chunk;
  chunk.text = 7, chunk.index = 1, chunk.begin = 20, chunk.end = 35, chunk.tokens = 9;
  for (int i = 0; i < 2; ++i) {
    file->append(packed<float>(Dtype::f32, 1, {1.5}), std::span(&chunk, 1));
    ++chunk.text;
  }
  file->finish();
  EXPECT_EQ(rows_of(folder / "v.parquet"), Json::parse(R"([
    {"index": 0, "text": 7, "chunk": 1, "begin": 20, "end": 35, "tokens": 9, "embedding": [1.5]},
    {"index": 1, "text": 8, "chunk": 1, "begin": 20, "end": 35, "tokens": 9, "embedding": [1.5]}])"));
}

TEST(ParquetVectors, ManyAreWrittenInRowGroups) {
  const TemporaryFolder folder;
  constexpr int64_t kColumns = 4096, kWindow = 300,
                    kRows = 7 * kWindow;  // two whole groups of 16 MiB and a part
  const auto file =
      open_vector_file(folder / "v.parquet", VectorFormat::parquet, Dtype::f32, kColumns, VectorRows::texts);
  for (int64_t i = 0; i < kRows; i += kWindow)
    file->append(packed(Dtype::f32, kColumns, std::vector<float>(kWindow * kColumns, 0.5F)));
  EXPECT_FALSE(fs::exists(folder / "v.parquet"));
  file->finish();
  const Json rows = rows_of(folder / "v.parquet", [](auto) { return std::vector<std::string>{"index"}; });
  ASSERT_EQ(rows.size(), static_cast<size_t>(kRows));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["index"], i);
  EXPECT_GT(fs::file_size(folder / "v.parquet"), static_cast<uintmax_t>(kRows * kColumns * 4));
}

// Each value takes a byte, not the four of Parquet's smallest type.
TEST(ParquetVectors, OfEightBitsTakeEightBits) {
  const TemporaryFolder folder;
  const auto file =
      open_vector_file(folder / "v.parquet", VectorFormat::parquet, Dtype::i8, 256, VectorRows::texts);
  std::vector<int8_t> values(256 * 400);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int8_t>(i * 37);
  file->append(packed(Dtype::i8, 256, values));
  file->finish();
  EXPECT_LT(fs::file_size(folder / "v.parquet"), values.size() * 5 / 4);
}

TEST(ParquetVectors, LeaveNothingIfTheyAreNotFinished) {
  const TemporaryFolder folder;
  {
    const auto file =
        open_vector_file(folder / "v.parquet", VectorFormat::parquet, Dtype::f32, 2, VectorRows::texts);
    file->append(packed<float>(Dtype::f32, 2, {1, 2}));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace mlxe::parquet_vectors_test
