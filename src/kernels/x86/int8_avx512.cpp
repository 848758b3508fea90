// int8_table.h with AVX-512 F, BW, DQ, VL but no VNNI, with 16-bit products.
#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx512_vector.h"
#include "kernels/x86/int8_rows_avx512.h"

namespace mlxe {
namespace {

struct Madd {
  static constexpr int kColumns = 16, kRows = 6;
  using Int = __m512i;

  static __m512 first(const uint16_t* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs(p), 16)); }
  static __m512 second(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs(p), _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static Int zero() { return _mm512_setzero_si512(); }
  static Int widen(const uint8_t* p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void widen_codes(const int8_t* p, int16_t* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Int quad(const int16_t* p) {
    return _mm512_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Int multiply_add(Int a, Int w, Int x) { return _mm512_add_epi32(a, _mm512_madd_epi16(w, x)); }
  static __m512 sums(Int low, Int high) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
                                               _mm512_permutex2var_epi32(low, odd, high)));
  }

 private:
  static Int pairs(const uint16_t* p) { return _mm512_loadu_si512(p); }
};

}  // namespace

const Int8Kernels kInt8Avx512{.matmul = Int8Madd<Madd, Avx512>::matmul,
                              .matmul_int4 = nullptr,
                              .expand = expand,
                              .quantize = quantize,
                              .spin = Int8Madd<Madd, Avx512>::spin,
                              .operations_per_round = Int8Madd<Madd, Avx512>::kOperationsPerRound};

}  // namespace mlxe
