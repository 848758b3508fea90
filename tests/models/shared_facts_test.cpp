// The originals' scores on real tasks (tests/data/facts.json, tools/make_facts.py) are reached in float32
// on the cpu engine. The data is outside the repository; without it these tests skip.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/sha256.h"
#include "golden.h"
#include "metrics/correlation.h"
#include "mlx_encoder/encoder.h"
#include "test_files.h"

namespace mlxe::shared_facts_test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kShared = MLXE_SHARED_DIR;

json facts(const std::string& name) {
  return json::parse(test::read_file(fs::path(MLXE_TEST_DATA) / "facts.json")).at(name);
}

// The rows of a tab-separated file with a header. Expects the file from which the facts were made.
std::vector<std::vector<std::string>> read_rows(const fs::path& file, const json& fact) {
  EXPECT_EQ(sha256_hex(file), fact.at("data_sha256")) << file << " is not what the facts were made from";
  std::ifstream in(file);
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::vector<std::string>& row = rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) row.push_back(cell);
  }
  EXPECT_EQ(rows.size(), fact.at("pairs").get<size_t>());
  return rows;
}

TEST(SharedFacts, MiniLmScoresOnStsAsTheOriginal) {
  const fs::path folder = test::minilm_folder(), data = kShared / "data/stsb-test.tsv";
  if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  if (!fs::exists(data)) GTEST_SKIP() << data << " is not there";
  const json fact = facts("stsb_test");
  std::vector<std::string> texts;
  std::vector<double> scores, cosines;
  for (const auto& row : read_rows(data, fact)) {
    texts.insert(texts.end(), {row.at(0), row.at(1)});
    scores.push_back(std::stod(row.at(2)));
  }
  const Vectors v = Encoder::load(folder, {.engine = EngineKind::cpu}).embed(texts);
  for (int64_t i = 0; i < v.rows; i += 2) cosines.push_back(cosine(v.row(i), v.row(i + 1)));
  // Float32 may swap neighbours in rank. Each swap changes the correlation by about 6 / 1379^3.
  EXPECT_NEAR(spearman(cosines, scores), fact.at("spearman"), 1e-5);
  EXPECT_NEAR(std::reduce(cosines.begin(), cosines.end()) / static_cast<double>(cosines.size()),
              fact.at("cosine_mean"), 2e-6);
}

TEST(SharedFacts, DistilBertPredictsAsTheOriginalOnNli) {
  const fs::path folder = kShared / "models/distilbert-nli", data = kShared / "data/nli-dev.tsv";
  if (!fs::exists(folder) || !fs::exists(data)) GTEST_SKIP() << folder << " or " << data << " is not there";
  const json fact = facts("nli_dev");
  EXPECT_EQ(sha256_hex(folder / "model.safetensors"), fact.at("model_sha256"));
  const std::string predictions = fact.at("predictions");
  const auto rows = read_rows(data, fact);
  constexpr size_t kEvery = 10;  // of 2490 pairs
  std::vector<TextInput> pairs;
  for (size_t i = 0; i < rows.size(); i += kEvery) pairs.push_back({rows[i].at(0), rows[i].at(1)});
  const Encoder encoder = Encoder::load(folder, {.engine = EngineKind::cpu});
  EXPECT_EQ(encoder.info().labels, fact.at("labels").get<std::vector<std::string>>());
  const std::vector<Prediction> found = encoder.classify(pairs);
  // The smallest difference between two logits of the original is 4e-3: float32 flips no label.
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(found[i].best, predictions.at(i * kEvery) - '0') << "pair " << i * kEvery;
  for (size_t i = 0; i < found[0].logits.size(); ++i)  // the file has 5 places
    EXPECT_NEAR(found[0].logits[i], fact.at("logits_first_pair").at(i).get<double>(),
                3 * test::kParityTolerance + 5e-6);
}

}  // namespace
}  // namespace mlxe::shared_facts_test
