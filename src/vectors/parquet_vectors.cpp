#include "vectors/parquet_vectors.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

struct FreeWriter {
  void operator()(MlxeParquetWriter* writer) const noexcept { mlxe_parquet_writer_free(writer); }
};

// The crate gives the bytes of the file; they are written here.
class ParquetVectors : public VectorFile {
 public:
  ParquetVectors(const std::filesystem::path& path, Dtype dtype, int64_t columns, VectorRows rows)
      : file_(path) {
    std::vector<std::string> numbers{"index"};
    if (rows == VectorRows::chunks)
      numbers.insert(numbers.end(), {"text", "chunk", "begin", "end", "tokens"});
    const std::string made =
        nlohmann::json{{"dtype", name(dtype)}, {"width", columns}, {"numbers", numbers}}.dump();
    MlxeParquetWriter* writer = nullptr;
    RustString error;
    check_rust(mlxe_parquet_writer_new(made.data(), made.size(), &writer, error.out()), where(), error);
    writer_.reset(writer);
  }

  void append(const PackedVectors& vectors, std::span<const Chunk> chunks) override {
    std::vector<int64_t> numbers(static_cast<size_t>(vectors.rows));
    for (int64_t& index : numbers) index = rows_++;
    const auto add = [&](auto number_of) {
      for (const Chunk& chunk : chunks) numbers.push_back(static_cast<int64_t>(number_of(chunk)));
    };
    add([](const Chunk& c) { return c.text; });
    add([](const Chunk& c) { return c.index; });
    add([](const Chunk& c) { return c.begin; });
    add([](const Chunk& c) { return c.end; });
    add([](const Chunk& c) { return c.tokens; });
    RustString bytes, error;
    check_rust(mlxe_parquet_write(writer_.get(), static_cast<size_t>(vectors.rows),
                                  reinterpret_cast<const uint8_t*>(vectors.values.data()), numbers.data(),
                                  bytes.out(), error.out()),
               where(), error);
    file_.write(bytes.view());
  }

  void finish() override {
    RustString bytes, error;
    check_rust(mlxe_parquet_finish(writer_.get(), bytes.out(), error.out()), where(), error);
    file_.write(bytes.view());
    file_.finish();
  }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  std::string where() const { return file_.path().string() + ": "; }

  OutputFile file_;
  std::unique_ptr<MlxeParquetWriter, FreeWriter> writer_;
  int64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<VectorFile> open_parquet_vectors(const std::filesystem::path& path, Dtype dtype,
                                                 int64_t columns, VectorRows rows) {
  return std::make_unique<ParquetVectors>(path, dtype, columns, rows);
}

}  // namespace mlxe
