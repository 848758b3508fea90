// The index of shards in each format: the result names only files of the folder.
#include <filesystem>

#include "format/weight_files.h"
#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const mlxe::WeightFormat& format : mlxe::weight_formats())
    mlxe::fuzz::expect_result_or_error([&] {
      const auto index = mlxe::parse_weight_index(text, format, "index.json");
      mlxe::fuzz::require(!index.empty());
      for (const auto& [tensor, file] : index) {
        const std::filesystem::path path(file);
        mlxe::fuzz::require(path.filename() == path && path != ".." && path.extension() == format.endings[0]);
      }
    });
  return 0;
}
