// Kernel variants: those in this program, those that run on this machine, and the one in use.
#pragma once

#include <span>
#include <string_view>

namespace mlxe {

// Each variant of an architecture contains the instructions of those before it (but for avx_vnni, which
// processors without AVX-512 have, and few with it): a table without kernels of its own for a variant takes
// the nearest earlier one. The names are those of the files' suffixes under
// src/kernels.
enum class Isa {
  scalar,        // plain C++; the oracle every other variant is tested against
  sse2,          // x86-64: what every such processor has
  avx2,          // x86-64: AVX2, FMA, F16C
  avx_vnni,      // x86-64: and AVX-VNNI
  avx512,        // x86-64: AVX-512 F, BW, DQ, VL
  avx512_vnni,   // x86-64: and AVX-512 VNNI
  avx512_bf16,   // x86-64: and AVX-512 BF16
  amx,           // x86-64: and AMX-INT8, AMX-BF16
  neon,          // AArch64: what every such processor has
  neon_dotprod,  // AArch64: NEON with SDOT/UDOT
  neon_i8mm,     // AArch64: and the 8-bit matrix multiply
};

const char* name(Isa isa) noexcept;    // "avx2", "neon_i8mm", ...
Isa parse_isa(std::string_view text);  // throws usage, listing the variants compiled in

// Weakest first; scalar is always there. Runnable: the processor has the instructions and the operating
// system saves their registers.
std::span<const Isa> compiled_variants() noexcept;
std::span<const Isa> runnable_variants() noexcept;
bool runs(Isa isa) noexcept;

// `forced` (the value of the environment variable MLXE_CPU; null or empty: the best runnable one). Throws
// usage when it is unknown, not compiled in or does not run here: a forced variant never silently becomes
// another.
Isa choose_variant(const char* forced);

// choose_variant(MLXE_CPU), decided once a process, at the first call.
Isa active_variant();

}  // namespace mlxe
