// Whether the tests are built with sanitizers: g++ defines a macro, clang has a feature test.
#pragma once

namespace mlxe::test {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MLXE_ADDRESS_SANITIZER
#endif
#if __has_feature(thread_sanitizer)
#define MLXE_THREAD_SANITIZER
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(MLXE_ADDRESS_SANITIZER)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__) || defined(MLXE_THREAD_SANITIZER)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

}  // namespace mlxe::test
