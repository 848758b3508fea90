// int8_table.h with AVX2, with 16-bit products: the sum of two products of 8-bit codes and 8-bit
// activations does not fit the 16 bits of vpmaddubsw.
#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx2_vector.h"
#include "kernels/x86/int8_rows_avx2.h"

namespace mlxe {
namespace {

struct Madd {
  static constexpr int kColumns = 8, kRows = 4;
  using Int = __m256i;

  static __m256 first(const uint16_t* p) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs(p), 16)); }
  static __m256 second(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs(p), _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static Int zero() { return _mm256_setzero_si256(); }
  static Int widen(const uint8_t* p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void widen_codes(const int8_t* p, int16_t* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Int quad(const int16_t* p) {
    return _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Int multiply_add(Int a, Int w, Int x) { return _mm256_add_epi32(a, _mm256_madd_epi16(w, x)); }
  static __m256 sums(Int low, Int high) {
    const __m256i pairs = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
    return _mm256_cvtepi32_ps(pairs);
  }

 private:
  static Int pairs(const uint16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
};

}  // namespace

const Int8Kernels kInt8Avx2{.matmul = Int8Madd<Madd, Avx2>::matmul,
                            .matmul_int4 = nullptr,
                            .expand = expand,
                            .quantize = Int8Quantize<Avx2>::quantize,
                            .spin = Int8Madd<Madd, Avx2>::spin,
                            .operations_per_round = Int8Madd<Madd, Avx2>::kOperationsPerRound};

}  // namespace mlxe
