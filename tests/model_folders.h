// Model folders for tests: copies of tests/data/tiny with changed tensors or config.json, and the results
// of a folder's model.
#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "encoder/model_loader.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "larger_error.h"
#include "models/engine.h"
#include "test_files.h"

namespace mlxe::test {

inline std::filesystem::path tiny(std::string_view name) {
  return std::filesystem::path(MLXE_TEST_DATA) / "tiny" / name;
}

struct RawTensor {
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::vector<std::byte> data;
};
using RawTensors = std::map<std::string, RawTensor>;

inline RawTensors read_tensors(const std::filesystem::path& file) {
  RawTensors tensors;
  const SafetensorsFile opened(file);
  for (const TensorView& t : opened.tensors())
    tensors[t.name] = {t.dtype, t.shape, {t.data.begin(), t.data.end()}};
  return tensors;
}

inline void write_tensors(const std::filesystem::path& file, const RawTensors& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, t] : tensors) specs.push_back({name, t.dtype, t.shape});
  SafetensorsWriter writer(file, specs, {{"format", "pt"}});
  for (const auto& [name, t] : tensors) writer.write(name, t.data);
  writer.finish();
}

inline RawTensor float_tensor(const Shape& shape, const std::vector<float>& values) {
  RawTensor t{Dtype::f32, shape, std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(t.data.data(), values.data(), t.data.size());
  return t;
}

inline std::vector<float> floats(const RawTensor& t) {
  std::vector<float> values(static_cast<size_t>(element_count(t.shape)));
  to_float(t.dtype, t.data, values);
  return values;
}

// Random numbers like trained weights: normally distributed and small. The same on every machine.
inline std::vector<float> random_weights(size_t count, unsigned seed, double deviation = 0.05) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& v : values) {  // Irwin-Hall: std::normal_distribution differs between libraries
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(generator()) / 4294967296.0;
    v = static_cast<float>(deviation * sum);
  }
  return values;
}

// A copy of a one-file folder with its tensors changed.
inline std::filesystem::path changed_copy(const std::filesystem::path& source,
                                          const std::filesystem::path& target,
                                          const std::function<void(RawTensors&)>& change) {
  std::filesystem::copy(source, target, std::filesystem::copy_options::recursive);
  RawTensors tensors = read_tensors(source / "model.safetensors");
  change(tensors);
  write_tensors(target / "model.safetensors", tensors);
  return target;
}

inline void change_config(const std::filesystem::path& folder,
                          const std::function<void(nlohmann::json&)>& change) {
  nlohmann::json config = read_json(folder / "config.json");
  change(config);
  write_file(folder / "config.json", config.dump(2));
}

// A copy of a one-file folder whose table of words has `bytes` bytes, for commands that have to take a while.
inline std::filesystem::path with_large_table(const std::filesystem::path& source,
                                              const std::filesystem::path& target, size_t bytes) {
  int64_t rows = 0;
  changed_copy(source, target, [&](RawTensors& tensors) {
    const auto table = std::find_if(tensors.begin(), tensors.end(), [](const auto& t) {
      return t.first.ends_with("word_embeddings.weight");
    });
    const std::vector<float> few = floats(table->second);
    rows = static_cast<int64_t>(bytes / sizeof(float)) / table->second.shape[1];
    std::vector<float> many(static_cast<size_t>(rows * table->second.shape[1]));
    for (size_t i = 0; i < many.size(); ++i) many[i] = few[i % few.size()];
    table->second = float_tensor({rows, table->second.shape[1]}, many);
  });
  change_config(target, [&](nlohmann::json& config) { config["vocab_size"] = rows; });
  return target;
}

// The token vectors after the last layer for two fixed texts of token ids, on the cpu engine.
inline Matrix hidden_of(const std::filesystem::path& folder) {
  LoadedModel loaded = load_model(folder, {});
  const auto engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
  RunRequest request{.wanted = {Output::hidden}};
  request.batch.append(std::vector<int32_t>{2, 17, 101, 44, 45, 3});
  request.batch.append(std::vector<int32_t>{2, 77, 3});
  RunResult result;
  engine->run(loaded.model, request, result);
  return result[Output::hidden];
}

inline double largest_difference(const Matrix& a, const Matrix& b) {
  EXPECT_EQ(a.values.size(), b.values.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.values.size(), b.values.size()); ++i)
    largest = larger_error(largest, std::abs(a.values[i] - b.values[i]));
  return largest;
}

// Names in a folder, hidden ones too, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline uint64_t bytes_in(const std::filesystem::path& folder) {
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) total += entry.file_size();
  return total;
}

}  // namespace mlxe::test
