// mlx_encoder.json: the result names only files of the folder, and is the same after writing and reading it.
#include "format/provenance.h"

#include "fuzz_input.h"

using mlxe::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::Provenance read = mlxe::Provenance::parse(text, "mlx_encoder.json");
    for (const auto& [file, print] : read.output) {
      require(!file.empty() && file[0] != '/' && print.sha256.size() == 64);
      for (const auto& part : std::filesystem::path(file)) require(part != "..");
    }
    require(mlxe::Provenance::parse(read.text(), "text") == read);
    require(read.changes(folder.path, mlxe::FileCheck::content).size() == read.output.size());  // all missing
  });
  return 0;
}
