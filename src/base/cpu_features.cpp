#include "base/cpu_features.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "mlx_encoder/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace mlxe {
namespace {

constexpr std::array kNames{"scalar",      "sse2", "avx2", "avx_vnni",     "avx512",   "avx512_vnni",
                            "avx512_bf16", "amx",  "neon", "neon_dotprod", "neon_i8mm"};

#if defined(__x86_64__)

constexpr std::array kCompiled{Isa::scalar, Isa::sse2,        Isa::avx2,        Isa::avx_vnni,
                               Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx};

constexpr bool has_all(uint32_t word, uint32_t bits) {
  return (word & bits) == bits;
}

// The register state that the operating system saves on a context switch. If the processor has AVX-512 but
// the system (or hypervisor) does not save its registers, the first such instruction faults.
uint32_t saved_register_state() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Linux saves the tile registers of a process only after the process requested it.
bool tiles_granted() {
#ifdef __linux__
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

bool detect(Isa isa) {
  if (isa == Isa::scalar || isa == Isa::sse2) return true;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, bit_OSXSAVE)) return false;
  const uint32_t leaf1_c = c;
  const uint32_t saved = saved_register_state();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;

  constexpr uint32_t kYmmState = 0x06;  // SSE and the upper halves of ymm
  constexpr uint32_t kZmmState = 0xe6;  // and mask registers, upper halves of zmm, zmm16-31
  const bool avx2 =
      has_all(leaf1_c, bit_AVX | bit_FMA | bit_F16C) && has_all(b, bit_AVX2) && has_all(saved, kYmmState);
  const bool avx512 = avx2 && has_all(saved, kZmmState) &&
                      has_all(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
  const bool vnni = avx512 && has_all(c, bit_AVX512VNNI);
  const uint32_t leaf7_d = d;
  uint32_t sub_a = 0, sub_b, sub_c, sub_d;
  __get_cpuid_count(7, 1, &sub_a, &sub_b, &sub_c, &sub_d);
  const bool bf16 = vnni && has_all(sub_a, bit_AVX512BF16);
  constexpr uint32_t kAvxVnni = 1u << 4;
  constexpr uint32_t kTileState = 0x60000;                   // tile configuration and data
  constexpr uint32_t kAmx = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
  switch (isa) {
    case Isa::avx2:
      return avx2;
    case Isa::avx_vnni:
      return avx2 && has_all(sub_a, kAvxVnni);
    case Isa::avx512:
      return avx512;
    case Isa::avx512_vnni:
      return vnni;
    case Isa::avx512_bf16:
      return bf16;
    case Isa::amx:
      return bf16 && has_all(leaf7_d, kAmx) && has_all(saved, kTileState) && tiles_granted();
    default:
      return false;
  }
}

#elif defined(__aarch64__)

constexpr std::array kCompiled{Isa::scalar, Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm};

#if defined(__linux__)
bool has_dotprod() {
  return (getauxval(AT_HWCAP) & (1ul << 20)) != 0;
}  // HWCAP_ASIMDDP
bool has_i8mm() {
  return (getauxval(AT_HWCAP2) & (1ul << 13)) != 0;
}  // HWCAP2_I8MM
#elif defined(__APPLE__)
bool has_feature(const char* key) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(key, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dotprod() {
  return has_feature("hw.optional.arm.FEAT_DotProd");
}
bool has_i8mm() {
  return has_feature("hw.optional.arm.FEAT_I8MM");
}
#else
bool has_dotprod() {
  return false;
}
bool has_i8mm() {
  return false;
}
#endif

bool detect(Isa isa) {
  switch (isa) {
    case Isa::scalar:
    case Isa::neon:
      return true;
    case Isa::neon_dotprod:
      return has_dotprod();
    case Isa::neon_i8mm:
      return has_dotprod() && has_i8mm();
    default:
      return false;
  }
}

#else

constexpr std::array kCompiled{Isa::scalar};
bool detect(Isa isa) {
  return isa == Isa::scalar;
}

#endif

std::string list(std::span<const Isa> variants) {
  std::string text;
  for (Isa isa : variants) text += (text.empty() ? "" : ", ") + std::string(name(isa));
  return text;
}

}  // namespace

const char* name(Isa isa) noexcept {
  return kNames[static_cast<size_t>(isa)];
}

Isa parse_isa(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (text == kNames[i]) return static_cast<Isa>(i);
  throw Error(ErrorCode::usage, "MLXE_CPU: \"" + std::string(text) + "\" is no kernel variant; use one of " +
                                    list(compiled_variants()));
}

std::span<const Isa> compiled_variants() noexcept {
  return kCompiled;
}

std::span<const Isa> runnable_variants() noexcept {
  static const std::vector<Isa> runnable = [] {
    std::vector<Isa> found;
    std::copy_if(kCompiled.begin(), kCompiled.end(), std::back_inserter(found), detect);
    return found;
  }();
  return runnable;
}

bool runs(Isa isa) noexcept {
  const std::span<const Isa> variants = runnable_variants();
  return std::find(variants.begin(), variants.end(), isa) != variants.end();
}

Isa choose_variant(const char* forced) {
  if (forced == nullptr || *forced == '\0') return runnable_variants().back();
  const Isa isa = parse_isa(forced);
  if (runs(isa)) return isa;
  const std::span<const Isa> compiled = compiled_variants();
  const bool present = std::find(compiled.begin(), compiled.end(), isa) != compiled.end();
  throw Error(ErrorCode::usage,
              std::string("MLXE_CPU: ") + name(isa) +
                  (present ? " does not run on this processor" : " is not compiled into this program") +
                  "; use one of " + list(runnable_variants()));
}

Isa active_variant() {
  static const Isa active = choose_variant(std::getenv("MLXE_CPU"));
  return active;
}

}  // namespace mlxe
