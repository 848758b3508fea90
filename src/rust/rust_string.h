// Strings and statuses of the functions of mlxe_rust.h.
#pragma once

#include <string>
#include <string_view>

#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"

namespace mlxe {

// A string that a Rust function filled in. The destructor returns it to Rust.
class RustString {
 public:
  RustString() = default;
  RustString(const RustString&) = delete;
  RustString& operator=(const RustString&) = delete;
  ~RustString() { mlxe_free_string(text_); }

  MlxeString* out() noexcept { return &text_; }
  std::string_view view() const noexcept { return {text_.data, text_.size}; }
  std::string str() const { return std::string(view()); }

 private:
  MlxeString text_{};
};

// Throws the error of a function that failed.
inline void check_rust(int status, const std::string& where, const RustString& error) {
  if (status == MLXE_OK) return;
  const ErrorCode code = status == MLXE_USAGE         ? ErrorCode::usage
                         : status == MLXE_FORMAT      ? ErrorCode::format
                         : status == MLXE_UNSUPPORTED ? ErrorCode::unsupported
                                                      : ErrorCode::internal;
  throw Error(code, where + error.str());
}

}  // namespace mlxe
