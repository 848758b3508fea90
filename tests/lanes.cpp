// main() of the test programs. MLXE_TEST_LANE names the lane to run; without it every test runs.
//
//   fast       the tests of `make test`
//   slow       all other tests
//   sanitized  the tests that are useful under sanitizers
//
// This file alone assigns tests to lanes, by their names. MLXE_TEST_SHARD=1/4 runs every fourth test of the
// lane, from the second on.
#include <fnmatch.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace mlxe::test {
namespace {

// Full names, "Suite.Test", of the slow tests.
constexpr const char* kSlow[] = {
    "*EngineVariants.*",      // the engine's tests with each other kernel variant
    "Models/Damage.*/mlx_*",  // MLX on a CPU is slow; a short run of it stays in the fast lane
    "Models/BatchOfTexts.*/mlx_*",
    "MlxEngine.CutsLargeBatchesIntoChunks",
    "MlxEngine.LinearBiasesOfLongTexts",
    "Int8Engine.TenThousand*",  // a soak test
    "Encoder.MemoryStaysFlat*",
    "OutputFiles.ASignalLeavesWhatWasThere",  // large models, so that a command takes a while
    "Crash.AModelFileThatShrinksWhileItIsConverted*",
    "SharedFacts.*",
    "SharedMaterial.*",  // thousands of texts; exception below
    "FullSizeDistilBert.Int8*",
    "FullSizeDistilBert.Fake*",
    "MatrixCommand.AKilledRunGoesOnWhereItStopped",
};
constexpr const char* kFastAllTheSame[] = {"SharedMaterial.MiniLmOverStsB"};  // tests figures of the README

constexpr const char* kUnsanitized[] = {
    "*Shared*",                                // material of full size
    "*EngineVariants.*",                       // start processes without sanitizers
    "Variant.ObjectFilesHaveNoWeakSymbols",    // UBSan's own symbols are weak
    "Crash.AHeapDamagedByAFailedAllocation*",  // preloads the functions that a sanitizer replaces
    // Take minutes; other tests run the same code on smaller models.
    "CalibratedConvert.IsAnOrdinaryMlxFolderOfThePlannedBytes",
    "Convert.PredictsEveryByteOfTheFolder",
    "CpuEngine.EveryLayerIsTheNaiveOneAtEveryLength",
    "MatrixCommand.AKilledRunGoesOnWhereItStopped",
    "TargetSize.OfAClassifierIsNeverWorseThanOneWidthForAll",
    "Int8Engine.TenThousand*",
    "OutputFiles.ASignalLeavesWhatWasThere",
};

template <size_t N>
bool matches(const char* const (&patterns)[N], const std::string& name) {
  return std::any_of(std::begin(patterns), std::end(patterns),
                     [&](const char* pattern) { return ::fnmatch(pattern, name.c_str(), 0) == 0; });
}

bool in_lane(const std::string& name, std::string_view lane) {
  if (lane == "sanitized") return !matches(kUnsanitized, name);
  const bool slow = matches(kSlow, name) && !matches(kFastAllTheSame, name);
  return slow == (lane == "slow");
}

// GoogleTest leaves the reason of a skipped test out of its JSON; tools/test_summary.py reads it there.
class SkipReasons : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.skipped()) ::testing::Test::RecordProperty("skip_reason", result.message());
  }
};

// Returns the variable's value and unsets it: a test that starts this program again names the tests to run,
// and the child must not inherit a lane.
std::string taken(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string text = value == nullptr ? "" : value;
  ::unsetenv(variable);
  return text;
}

int run(int argc, char** argv) {
  // No test looks for a model on the hub, or in the cache of the user; those of the hub have a server of their own.
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  ::setenv("HF_HUB_CACHE", "/nonexistent", 1);
  const std::string lane = taken("MLXE_TEST_LANE"), shard = taken("MLXE_TEST_SHARD");
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new SkipReasons);  // the list owns it
  if (lane.empty()) return RUN_ALL_TESTS();
  int index = 0, shards = 1;
  const bool sharded = std::sscanf(shard.c_str(), "%d/%d", &index, &shards) == 2 && shards > 0;
  if ((lane != "fast" && lane != "slow" && lane != "sanitized") || (!shard.empty() && !sharded)) {
    std::fprintf(
        stderr, "found MLXE_TEST_LANE=%s MLXE_TEST_SHARD=%s, expected fast, slow or sanitized and e.g. 0/4\n",
        lane.c_str(), shard.c_str());
    return 2;
  }
  std::string filter;
  int found = 0;
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const ::testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const std::string name = std::string(suite.name()) + "." + suite.GetTestInfo(t)->name();
      if (in_lane(name, lane) && found++ % shards == index) filter += name + ":";
    }
  }
  if (filter.empty()) return 0;  // tools/test_summary.py fails if no test ran at all
  ::testing::GTEST_FLAG(filter) = filter;
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace mlxe::test

int main(int argc, char** argv) {
  return mlxe::test::run(argc, argv);
}
