// Sentences of tagged words. A line holds a word and its tag: the first and the last column, separated by tabs or else
// spaces. An empty line, or a line that begins with -DOCSTART-, ends a sentence.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "texts/row_file.h"

namespace mlxe {

struct ConllSentence {
  std::vector<std::string> words, tags;  // as many
  std::vector<size_t> lines;             // of each word, from 1
};

// Calls `take` with each sentence until it returns false; `where` names a stream in messages. Errors:
// not_found, io, format (file and line), usage (no words, with IfEmpty::refuse).
void read_conll(const std::filesystem::path& file, const std::function<bool(ConllSentence)>& take,
                IfEmpty if_empty = IfEmpty::refuse);
void read_conll(std::istream& stream, const std::string& where,
                const std::function<bool(ConllSentence)>& take, IfEmpty if_empty = IfEmpty::refuse);

}  // namespace mlxe
