#include "texts/conll_file.h"

#include <utility>

#include "mlx_encoder/error.h"
#include "texts/row_file.h"

namespace mlxe {
namespace {

using TakeLine = std::function<bool(const std::string& line, size_t number)>;

// `lines` calls its argument with each line. `where` names the source in messages.
void read(const std::string& where, const std::function<void(const TakeLine&)>& lines,
          const std::function<bool(ConllSentence)>& take, IfEmpty if_empty) {
  ConllSentence sentence;
  bool any = false, more = true;
  const auto finish = [&] {
    if (!sentence.words.empty()) more = take(std::exchange(sentence, {}));
    return more;
  };
  lines([&](const std::string& line, size_t number) {
    if (line.find_first_not_of(" \t") == std::string::npos || line.starts_with("-DOCSTART-")) return finish();
    const char* const separators = line.find('\t') != std::string::npos ? "\t" : " ";
    const size_t first = line.find_first_of(separators), last = line.find_last_of(separators);
    if (first == std::string::npos) malformed(where, number, "expected a word and its tag, found one column");
    if (first == 0 || last + 1 == line.size())
      malformed(where, number, "expected a word and its tag, found an empty one");
    sentence.words.push_back(line.substr(0, first));
    sentence.tags.push_back(line.substr(last + 1));
    sentence.lines.push_back(number);
    return any = true;
  });
  if (!any && if_empty == IfEmpty::refuse) throw Error(ErrorCode::usage, where + ": holds no words");
  if (more) finish();
}

}  // namespace

void read_conll(const std::filesystem::path& file, const std::function<bool(ConllSentence)>& take,
                IfEmpty if_empty) {
  read(
      file.string(), [&](const TakeLine& line) { read_lines(file, line); }, take, if_empty);
}

void read_conll(std::istream& stream, const std::string& where,
                const std::function<bool(ConllSentence)>& take, IfEmpty if_empty) {
  read(
      where, [&](const TakeLine& line) { read_lines(stream, where, line); }, take, if_empty);
}

}  // namespace mlxe
