// The one exception type of the library.
//
// Text follows `where: found, expected; what to do`, for example
//   model.safetensors: encoder.layer.3.output.dense.weight is [768, 3000], config.json implies [768, 3072]
// The library never prints, exits or aborts. exit_status() gives the exit status for a program.
#pragma once

#include <stdexcept>
#include <string>

namespace mlxe {

enum class ErrorCode {
  internal,     // a bug in this library
  usage,        // an argument or option that makes no sense
  gate,         // a quality gate failed (`--gate`)
  not_found,    // a file or folder that should exist does not
  io,           // reading or writing failed (full disk, permission, ...)
  format,       // a file's content is malformed or contradicts another file
  unsupported,  // well-formed, but an architecture, option or value this version can't honour
  numeric,      // NaN or infinity where a number was expected
  strict,       // a warning turned into an error by `--strict`
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// The process exit status documented in docs/exit-status.md: internal 1, usage 2, gate 3, not_found 4, io 5,
// format 6, unsupported 7, numeric 8, strict 9. (0 is success, 130 an interrupt.)
int exit_status(ErrorCode code) noexcept;

// "usage", "format", ...: the word used in `--json` error objects.
const char* name(ErrorCode code) noexcept;

}  // namespace mlxe
