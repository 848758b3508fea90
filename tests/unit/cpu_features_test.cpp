#include "base/cpu_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "mlx_encoder/error.h"

namespace mlxe::cpu_features_test {
namespace {

using testing::HasSubstr;

std::string usage_error(const char* forced) {
  try {
    choose_variant(forced);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    return e.what();
  }
  return "no error";
}

TEST(CpuFeatures, ScalarIsFirstAndRunnableIsPartOfCompiled) {
  EXPECT_EQ(compiled_variants().front(), Isa::scalar);
  EXPECT_EQ(runnable_variants().front(), Isa::scalar);
  for (Isa isa : runnable_variants())
    EXPECT_THAT(std::vector<Isa>(compiled_variants().begin(), compiled_variants().end()),
                testing::Contains(isa));
}

TEST(CpuFeatures, ChoosesTheBestUnlessForced) {
  EXPECT_EQ(choose_variant(nullptr), runnable_variants().back());
  EXPECT_EQ(choose_variant(""), runnable_variants().back());
  for (Isa isa : runnable_variants()) EXPECT_EQ(choose_variant(name(isa)), isa);
}

TEST(CpuFeatures, UnknownOrForeignVariantIsAnError) {
  EXPECT_THAT(usage_error("doesnotexist"),
              HasSubstr("\"doesnotexist\" is no kernel variant; use one of scalar"));
#if defined(__x86_64__)
  EXPECT_THAT(usage_error("neon_i8mm"), HasSubstr("not compiled into this program; use one of scalar"));
#elif defined(__aarch64__)
  EXPECT_THAT(usage_error("avx2"), HasSubstr("not compiled into this program; use one of scalar"));
#endif
  for (Isa isa : compiled_variants())
    if (!runs(isa)) {
      EXPECT_THAT(usage_error(name(isa)), HasSubstr("does not run on this processor"));
    }
}

// The active variant is the one that MLXE_CPU names, if it is set.
TEST(CpuFeatures, ActiveVariantObeysTheEnvironment) {
  const char* forced = std::getenv("MLXE_CPU");
  EXPECT_EQ(active_variant(), choose_variant(forced));
  if (forced && *forced) {
    EXPECT_STREQ(name(active_variant()), forced);
  }
}

#if defined(__x86_64__) && defined(__linux__)
// The Linux kernel lists a flag only if it also saves the registers, so that its list must agree with ours.
TEST(CpuFeatures, AgreesWithTheOperatingSystem) {
  std::ifstream file("/proc/cpuinfo");
  std::string line, flags;
  while (std::getline(file, line))
    if (line.starts_with("flags")) flags = line + " ";
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo has no flags line";
  const auto all = [&](std::initializer_list<const char*> wanted) {
    for (const char* flag : wanted)
      if (flags.find(std::string(" ") + flag + " ") == std::string::npos) return false;
    return true;
  };
  EXPECT_EQ(runs(Isa::avx2), all({"avx2", "fma", "f16c"}));
  EXPECT_EQ(runs(Isa::avx_vnni), runs(Isa::avx2) && all({"avx_vnni"}));
  EXPECT_EQ(runs(Isa::avx512), all({"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl"}));
  EXPECT_EQ(runs(Isa::avx512_vnni), runs(Isa::avx512) && all({"avx512_vnni"}));
}
#endif

}  // namespace
}  // namespace mlxe::cpu_features_test
