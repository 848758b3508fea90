// The record of a corpus run: which files of vectors are finished, and with which model and settings.
//
// `corpus.jsonl` in the folder of the vectors. Its first line is the key of the run; each other line says of one file of texts
//   {"file": "a/1.jsonl", "bytes": 812, "modified": 1790000000000000000, "output": "a/1.jsonl.npy",
//    "output_bytes": 1664, "texts": 1, "vectors": 1}
// A line is written after its file of vectors is in place. A killed run leaves at most a part of a line, at the end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "corpus/corpus_files.h"

namespace mlxe {

struct FinishedFile {
  uint64_t bytes = 0;  // of the file of texts
  int64_t modified = 0;
  std::string output;  // relative to the record's folder
  uint64_t output_bytes = 0;
  uint64_t texts = 0, vectors = 0;
};

class CorpusRecord {
 public:
  static constexpr const char* kName = "corpus.jsonl";

  // Reads the record in `folder`, or begins one. Errors: usage (`folder` holds files but no record; a record of another key), format, io.
  CorpusRecord(std::filesystem::path folder, const nlohmann::json& key);
  ~CorpusRecord();
  CorpusRecord(const CorpusRecord&) = delete;
  CorpusRecord& operator=(const CorpusRecord&) = delete;

  // What is known of `file`; null if it was not finished, was written to since, or its vectors are gone.
  const FinishedFile* finished(const CorpusFile& file) const;
  // All that are finished, by the names of their files of texts.
  const std::map<std::string, FinishedFile>& all() const noexcept { return finished_; }

  void add(const CorpusFile& file, FinishedFile finished);

 private:
  void read(std::string_view text, const nlohmann::json& key);

  std::filesystem::path folder_, path_;
  std::map<std::string, FinishedFile> finished_;
  int fd_ = -1;
};

}  // namespace mlxe
