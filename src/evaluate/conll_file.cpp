#include "evaluate/conll_file.h"

#include <utility>

#include "evaluate/row_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {

void read_conll(const std::filesystem::path& file, const std::function<bool(ConllSentence)>& take) {
  ConllSentence sentence;
  bool any = false, more = true;
  const auto finish = [&] {
    if (!sentence.words.empty()) more = take(std::exchange(sentence, {}));
    return more;
  };
  read_lines(file, [&](const std::string& line, size_t number) {
    if (line.find_first_not_of(" \t") == std::string::npos || line.starts_with("-DOCSTART-")) return finish();
    const char* const separators = line.find('\t') != std::string::npos ? "\t" : " ";
    const size_t first = line.find_first_of(separators), last = line.find_last_of(separators);
    if (first == std::string::npos) malformed(file, number, "expected a word and its tag, found one column");
    if (first == 0 || last + 1 == line.size())
      malformed(file, number, "expected a word and its tag, found an empty one");
    sentence.words.push_back(line.substr(0, first));
    sentence.tags.push_back(line.substr(last + 1));
    sentence.lines.push_back(number);
    return any = true;
  });
  if (!any) throw Error(ErrorCode::usage, file.string() + ": holds no words");
  if (more) finish();
}

}  // namespace mlxe
