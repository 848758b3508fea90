// Escapes control characters of model files and texts before they reach a terminal, and shows paths as the user gave them.
#pragma once

#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

namespace mlxe::cli {

// While the object lives, all output to `stream` passes through `cleaned` (base/wording.h), which escapes
// control characters, and through `with_shown_paths` (format/linked_folders.h).
class SafeOutput : public std::streambuf {
 public:
  explicit SafeOutput(std::ostream& stream) : stream_(stream), target_(stream.rdbuf(this)) {}
  ~SafeOutput() override;
  SafeOutput(const SafeOutput&) = delete;
  SafeOutput& operator=(const SafeOutput&) = delete;

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

 private:
  bool write(std::string text);

  std::ostream& stream_;
  std::streambuf* target_;
  std::string unfinished_;  // first bytes of a UTF-8 character whose other bytes have not come yet
};

}  // namespace mlxe::cli
