// Sentences of tagged words: a word and its tag a line (the first and the last column, by tabs or else
// spaces), an empty line or one that begins with -DOCSTART- after a sentence.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace mlxe {

struct ConllSentence {
  std::vector<std::string> words, tags;  // as many
  std::vector<size_t> lines;             // of each word, from 1
};

// Calls `take` with each sentence until it returns false; `where` names a stream in messages. Errors:
// not_found, io, format (file and line), usage (no words).
void read_conll(const std::filesystem::path& file, const std::function<bool(ConllSentence)>& take);
void read_conll(std::istream& stream, const std::string& where,
                const std::function<bool(ConllSentence)>& take);

}  // namespace mlxe
