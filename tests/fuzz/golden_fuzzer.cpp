// A golden of `verify`: all texts are equally wide, and writing and reading one gives the same again.
#include "verify/golden.h"

#include <cmath>

#include "fuzz_input.h"

using mlxe::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  mlxe::fuzz::expect_result_or_error([&] {
    const mlxe::Golden read = mlxe::Golden::parse(text, "golden.json", {});
    require(!read.texts.empty() && read.width() > 0);
    for (const mlxe::GoldenText& t : read.texts) {
      require(t.values.size() == read.width() && (t.original.empty() || t.original.size() == read.width()));
      for (const float v : t.values) require(std::isfinite(v));
    }
    const std::string written = read.text();
    require(mlxe::Golden::parse(written, "text", {}).text() == written);
  });
  return 0;
}
