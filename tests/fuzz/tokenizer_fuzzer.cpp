// A tokenizer folder and a text: for any files, the tokens lie inside the text, or there is one Error. The
// input is parts separated by zero bytes, see `kFiles`. The last part is a setting byte and a text, with
// its pair after a line break.
#include "tokenizer/tokenizer.h"

#include "fuzz_input.h"

namespace fs = std::filesystem;
using mlxe::Encoding;
using mlxe::fuzz::expect_result_or_error;
using mlxe::fuzz::require;

namespace {

constexpr const char* kFiles[] = {"tokenizer.json",
                                  "tokenizer_config.json",
                                  "special_tokens_map.json",
                                  "added_tokens.json",
                                  "vocab.txt",
                                  "vocab.json",
                                  "merges.txt"};

bool begins_character(std::string_view text, int32_t at) {
  const auto i = static_cast<size_t>(at);
  return at >= 0 && i <= text.size() &&
         (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80);
}

void check(const Encoding& e, std::string_view text, std::string_view pair, int64_t max_length) {
  const size_t tokens = e.ids.size();
  for (const size_t size : {e.type_ids.size(), e.offsets.size(), e.code_point_offsets.size(),
                            e.sequence.size(), e.word_ids.size()})
    require(size == tokens);
  require(max_length == 0 || tokens <= static_cast<size_t>(max_length));
  require(e.dropped_tokens >= 0 && e.truncated == (e.dropped_tokens > 0));
  for (size_t i = 0; i < tokens; ++i) {
    const std::string_view of = e.sequence[i] == 1 ? pair : text;
    const auto [begin, end] = e.offsets[i];
    require(begin <= end && begins_character(of, begin) && begins_character(of, end));
  }
}

void use(mlxe::Tokenizer& tokenizer, std::string_view last) {
  const auto settings = static_cast<uint8_t>(last.empty() ? 0 : last[0]);
  const std::string_view both = last.substr(last.empty() ? 0 : 1);
  const size_t cut = both.find('\n');
  const std::string text(both.substr(0, cut));
  const bool is_pair = cut != both.npos;
  const std::string second(is_pair ? both.substr(cut + 1) : "");
  const std::optional<std::string_view> pair =
      is_pair ? std::optional<std::string_view>(second) : std::nullopt;
  const mlxe::EncodeOptions options{.add_special_tokens = (settings & 0x80) == 0,
                                    .max_length = settings & 0x0F,
                                    .truncation = static_cast<mlxe::Truncation>((settings >> 4 & 0x07) % 3)};
  const auto encode = [&] {
    expect_result_or_error([&] {
      const Encoding encoding = tokenizer.encode(text, pair, options);
      check(encoding, text, second, options.max_length);
      expect_result_or_error([&] { tokenizer.decode(encoding.ids); });
      for (const int32_t id : encoding.ids) expect_result_or_error([&] { tokenizer.token(id); });
    });
  };
  expect_result_or_error([&] {
    mlxe::EncodeOptions of_windows = options;
    of_windows.stride = settings >> 4 & 0x07;
    for (const Encoding& window : tokenizer.encode_windows(text, pair, of_windows))
      check(window, text, second, options.max_length);
  });
  encode();
  expect_result_or_error([&] { tokenizer.lower_case_first(); });
  encode();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder;
  const auto parts = mlxe::fuzz::parts(data, size, std::size(kFiles) + 1);
  for (size_t i = 0; i < std::size(kFiles); ++i) mlxe::fuzz::put(folder.path / kFiles[i], parts[i]);
  expect_result_or_error([&] {
    mlxe::Tokenizer tokenizer = mlxe::Tokenizer::load(folder.path, [](std::string_view) {});
    use(tokenizer, parts.back());
  });
  return 0;
}
