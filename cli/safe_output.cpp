#include "safe_output.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/wording.h"
#include "format/linked_folders.h"

namespace mlxe::cli {
namespace {

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\t'; });
}

// Number of bytes at the end that begin an incomplete UTF-8 character.
size_t unfinished_utf8(std::string_view text) {
  for (size_t n = 1; n <= std::min<size_t>(3, text.size()); ++n) {
    const auto byte = static_cast<unsigned char>(text[text.size() - n]);
    if (byte >= 0xC0) return (byte >= 0xF0 ? 4u : byte >= 0xE0 ? 3u : 2u) > n ? n : 0;
    if (byte < 0x80) break;
  }
  return 0;
}

}  // namespace

SafeOutput::~SafeOutput() {
  SafeOutput::sync();
  stream_.rdbuf(target_);
}

bool SafeOutput::write(std::string text) {
  text = with_shown_paths(std::move(text));
  const auto all = static_cast<std::streamsize>(text.size());
  return target_->sputn(text.data(), all) == all;
}

SafeOutput::int_type SafeOutput::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char byte = traits_type::to_char_type(c);
  return xsputn(&byte, 1) == 1 ? c : traits_type::eof();
}

std::streamsize SafeOutput::xsputn(const char* text, std::streamsize size) {
  std::string_view next(text, static_cast<size_t>(size));
  if (unfinished_.empty() && is_plain(next)) return write(std::string(next)) ? size : 0;
  unfinished_ += next;
  const std::string all = std::exchange(unfinished_, {});
  const size_t whole = all.size() - unfinished_utf8(all);
  unfinished_ = all.substr(whole);
  return write(cleaned(std::string_view(all).substr(0, whole))) ? size : 0;
}

int SafeOutput::sync() {
  const bool written = write(cleaned(unfinished_));
  unfinished_.clear();
  return written && target_->pubsync() == 0 ? 0 : -1;
}

}  // namespace mlxe::cli
