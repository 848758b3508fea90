// The choice of the kernel variant, and the separation of the variants' object files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/cpu_features.h"
#include "engine_cpu/cpu_report.h"
#include "kernels/bf16_table.h"
#include "kernels/int8_table.h"
#include "kernels/quantize_table.h"
#include "kernels/table.h"
#include "models/engine.h"
#include "own_program.h"

namespace mlxe::variant_test {
namespace {

using testing::HasSubstr;

constexpr const char* kChild = "MLXE_TEST_CHILD";

std::string output_of(const std::string& command, int& status) {
  std::string text;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char part[4096];
  for (size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, n);
  status = ::pclose(pipe);
  return text;
}

#ifdef __linux__

// Runs this program again with MLXE_CPU=`variant` and only the child test below.
std::string run_child(const std::string& variant, int& status) {
  return output_of(
      "MLXE_CPU='" + variant + "' " + kChild + "=1 " + test::own_program() + " --gtest_filter=Variant.Child",
      status);
}

TEST(Variant, ForcingOneRunsThatOneAndNoOther) {
  for (Isa isa : runnable_variants()) {
    int status = -1;
    const std::string text = run_child(name(isa), status);
    EXPECT_EQ(status, 0) << text;
    EXPECT_THAT(text, HasSubstr(std::string("engine: ") + name(isa) + ", "));
    EXPECT_THAT(text, HasSubstr("panel " + std::to_string(kernels(isa).panel) + ", flops a round " +
                                std::to_string(kernels(isa).flops_per_round)));
  }
}

TEST(Variant, AnUnknownNameIsAnError) {
  int status = 0;
  const std::string text = run_child("doesnotexist", status);
  EXPECT_NE(status, 0);
  EXPECT_THAT(text, HasSubstr("\"doesnotexist\" is no kernel variant; use one of scalar"));
}

#endif

TEST(Variant, Child) {
  if (std::getenv(kChild) == nullptr) GTEST_SKIP() << "run by the tests above in a process of their own";
  std::printf("engine: %s\n", make_cpu_engine({})->info().variant.c_str());
  std::printf("panel %d, flops a round %lld\n", kernels().panel,
              static_cast<long long>(kernels().flops_per_round));
}

// The variants of an emulated processor are known. All of them must run, so that none is skipped by mistake.
TEST(Variant, ThoseExpectedRunHere) {
  const char* expected = std::getenv("MLXE_TEST_VARIANTS");
  if (expected == nullptr) GTEST_SKIP() << "MLXE_TEST_VARIANTS does not say which";
  std::string found;
  for (Isa isa : runnable_variants()) found += (found.empty() ? "" : " ") + std::string(name(isa));
  EXPECT_EQ(found, expected);
}

TEST(Variant, NoneTakesTheOraclesKernelsForWantOfADispatch) {
  for (Isa isa : runnable_variants()) {
    const bool oracle = isa == Isa::scalar || isa == Isa::sse2;
    EXPECT_EQ(&int8_kernels(isa) == &kInt8Scalar, oracle) << name(isa);
    EXPECT_EQ(&bf16_kernels(isa) == &kBf16Scalar, oracle) << name(isa);
    EXPECT_EQ(&quantize_kernels(isa) == &kQuantizeScalar, oracle) << name(isa);
    EXPECT_EQ(&kernels(isa) == &kKernelsScalar, isa == Isa::scalar) << name(isa);
  }
}

TEST(Variant, TheReportListsThem) {
  const CpuReport report = cpu_report();
  EXPECT_EQ(report.compiled.front(), "scalar");
  EXPECT_EQ(report.runnable.size(), runnable_variants().size());
  EXPECT_EQ(report.chosen, name(active_variant()));
  EXPECT_GT(report.cores, 0);
}

// A loop that the compiler removed would be infinitely fast. Lower bounds: a processor of this century.
// Upper bounds, at 15 GHz: two instructions a cycle with 16 floats, 64 8-bit values or 32 bfloat16; for AMX
// 1024 or 512 products a cycle; one cache line a cycle.
TEST(Variant, ThePeaksArePlausibleNumbers) {
  const MachinePeaks one = measured_peaks(1);
  const bool amx = active_variant() == Isa::amx;
  EXPECT_GT(one.float32, 0.1);
  EXPECT_LT(one.float32, 1000);
  EXPECT_EQ(one.int8 > 0, has_int8_kernels(active_variant()));
  EXPECT_LT(one.int8, amx ? 32000 : 4000);
  EXPECT_GT(one.bf16, 0.1);
  EXPECT_LT(one.bf16, amx ? 16000 : 2000);
  EXPECT_GT(one.read, 0.1);
  EXPECT_LT(one.read, 1000);
}

// Each variant with its own product instructions has a measured peak.
TEST(Variant, EachWithInstructionsForProductsHasAPeak) {
  for (Isa isa : runnable_variants()) {
    EXPECT_EQ(int8_kernels(isa).spin != nullptr, has_int8_kernels(isa)) << name(isa);
    const bool has_bf16 = isa == Isa::avx512_bf16 || isa == Isa::amx;
    EXPECT_EQ(bf16_kernels(isa).spin != nullptr, has_bf16) << name(isa);
    if (int8_kernels(isa).spin != nullptr) {
      EXPECT_GT(int8_kernels(isa).operations_per_round, 0) << name(isa);
      int8_kernels(isa).spin(3);
    }
    if (has_bf16) {
      EXPECT_GT(bf16_kernels(isa).flops_per_round, 0) << name(isa);
      EXPECT_GE(bf16_kernels(isa).spin(3), 0) << name(isa);
    }
  }
}

// The linker may merge a function that is not internal to its file with another file's copy, which may use
// instructions that this processor lacks. Symbols of sanitizers (__asan..., DW.ref...) are data.
TEST(Variant, ObjectFilesHaveNoWeakSymbols) {
  const std::filesystem::path objects =
      std::string(MLXE_BUILD_DIR) + "/CMakeFiles/mlxe_kernels.dir/src/kernels";
  int status = 0, files = 0;
  const std::string nm = std::string("'") + MLXE_NM + "'";
  output_of(nm + " --version", status);
  if (status != 0 || !std::filesystem::exists(objects)) GTEST_SKIP() << "no nm, or no object files here";
  for (const auto& file : std::filesystem::recursive_directory_iterator(objects)) {
    const std::string folder = file.path().parent_path().filename().string();
    if (file.path().extension() != ".o" || (folder != "x86" && folder != "arm")) continue;
    ++files;
    const std::string weak = output_of(
        nm + " -C '" + file.path().string() + "' | grep -E ' [WwVvu] ' | grep -vE '__asan|DW.ref'", status);
    EXPECT_EQ(weak, "") << file.path();
  }
  EXPECT_GE(files, 2);
}

}  // namespace
}  // namespace mlxe::variant_test
