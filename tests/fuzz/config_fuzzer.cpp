// config.json: every accessor over every key, the quantization dictionary, the labels.
#include "format/config.h"

#include <nlohmann/json.hpp>

#include "format/quantization_config.h"
#include "fuzz_input.h"

using mlxe::Config;
using mlxe::fuzz::expect_result_or_error;

namespace {

void read_everything(const Config& config) {
  for (const auto& [key, value] : config.json().items()) {
    expect_result_or_error([&, &name = key] { config.get<bool>(name); });
    expect_result_or_error([&, &name = key] { config.get<int>(name); });
    expect_result_or_error([&, &name = key] { config.get<int64_t>(name); });
    expect_result_or_error([&, &name = key] { config.get<double>(name); });
    expect_result_or_error([&, &name = key] { config.get<std::string>(name); });
    expect_result_or_error([&, &name = key] { config.get<std::vector<std::string>>(name); });
    expect_result_or_error([&, &name = key] {
      const int64_t size = config.positive(name);
      mlxe::fuzz::require(size >= 1 && size <= mlxe::kMaxConfigSize);
    });
    expect_result_or_error([&, &name = key] { mlxe::fuzz::require(config.non_negative_number(name) >= 0); });
    expect_result_or_error([&, &name = key] { config.object(name); });
    expect_result_or_error([&, &name = key] { config.reject_unless(name, {1, "a"}, "why"); });
  }
  expect_result_or_error([&] { config.reject_unsupported(); });
  mlxe::fuzz::require(config.unknown_keys().empty());  // all were used above
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  expect_result_or_error([&] {
    const Config config = Config::parse(text, "config.json");
    expect_result_or_error([&] { config.labels(); });
    expect_result_or_error([&] {
      const auto quantization = mlxe::QuantizationConfig::read(config, [](std::string_view) {});
      if (!quantization.present()) return;
      std::vector<std::string> names;
      for (const auto& [name, scheme] : quantization.overrides()) names.push_back(name);
      for (const std::string& name : names) quantization.choose(std::vector<std::string>{name});
      quantization.choose(names);
    });
    read_everything(config);
  });
  return 0;
}
