#include "corpus/corpus_record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "base/output_path.h"
#include "base/whole_file.h"
#include "format/json_file.h"
#include "format/json_line.h"
#include "mlx_encoder/error.h"

namespace mlxe {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr size_t kMostRecordBytes = size_t{1} << 40;  // more than any

// Other files in a new folder of vectors would be taken for vectors by those who read it.
void require_no_files(const fs::path& folder) {
  with_file_errors([&] {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (!entry.path().filename().string().starts_with('.'))
        throw Error(
            ErrorCode::usage,
            fmt::format("{}: holds {}, but no {} of an earlier run; give a new folder, or an empty one",
                        folder.string(), entry.path().filename().string(), CorpusRecord::kName));
    return 0;
  });
}

void require_same_key(const fs::path& path, const json& found, const json& expected) {
  if (found == expected) return;
  for (const auto& [name, value] : expected.items()) {
    const json other = found.is_object() ? found.value(name, json()) : json();
    if (other != value)
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: the vectors there were made with {} {}, this run has {}; give another folder, or "
                      "remove this one",
                      path.string(), name, shown(other), shown(value)));
  }
  throw Error(ErrorCode::usage,
              path.string() +
                  ": was made by another version of mlx-encoder; give another folder, or remove this one");
}

FinishedFile finished_of(const json& line) {
  return {.bytes = line.at("bytes"),
          .modified = line.at("modified"),
          .output = line.at("output"),
          .output_bytes = line.at("output_bytes"),
          .texts = line.at("texts"),
          .vectors = line.at("vectors")};
}

}  // namespace

CorpusRecord::CorpusRecord(fs::path folder, const json& key)
    : folder_(std::move(folder)), path_(folder_ / kName) {
  if (!fs::exists(path_)) {
    require_no_files(folder_);
    write_whole_file(path_, json_line(key));
  } else {
    read(read_whole_file(path_, kMostRecordBytes), key);
  }
  fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) file_failed(path_, "opened for writing", errno);
}

CorpusRecord::~CorpusRecord() {
  if (fd_ >= 0) ::close(fd_);
}

void CorpusRecord::read(std::string_view text, const json& key) {
  size_t begin = 0;
  json first;
  for (size_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == text.npos) break;  // a line that a killed run did not finish
    const std::string where = fmt::format("{}: line {}", path_.string(), number);
    const json line = parse_json(text.substr(begin, end - begin), where);
    begin = end + 1;
    if (number == 1) {
      first = line;
      continue;
    }
    try {
      finished_[line.at("file")] = finished_of(line);
    } catch (const json::exception&) {
      throw Error(ErrorCode::format, where + ": found " + shown(line) +
                                         ", expected the record of a finished file; remove the line");
    }
  }
  if (finished_.empty() && first != key) {  // of a run that failed before it had done anything
    write_whole_file(path_, json_line(key));
    return;
  }
  require_same_key(path_, first, key);
  if (begin < text.size()) with_file_errors([&] { fs::resize_file(path_, begin); });
}

const FinishedFile* CorpusRecord::finished(const CorpusFile& file) const {
  const auto found = finished_.find(file.name);
  if (found == finished_.end() || found->second.bytes != file.bytes ||
      found->second.modified != file.modified)
    return nullptr;
  std::error_code error;
  return fs::file_size(folder_ / found->second.output, error) == found->second.output_bytes && !error
             ? &found->second
             : nullptr;
}

void CorpusRecord::add(const CorpusFile& file, FinishedFile finished) {
  const std::string line = json_line(json{{"file", file.name},
                                          {"bytes", finished.bytes},
                                          {"modified", finished.modified},
                                          {"output", finished.output},
                                          {"output_bytes", finished.output_bytes},
                                          {"texts", finished.texts},
                                          {"vectors", finished.vectors}});
  for (size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(fd_, line.data() + written, line.size() - written);
    if (count < 0 && errno != EINTR) file_failed(path_, "written", errno);
    written += count > 0 ? static_cast<size_t>(count) : 0;
  }
  if (::fsync(fd_) != 0 && errno != EINVAL) file_failed(path_, "written", errno);
  finished_[file.name] = std::move(finished);
}

}  // namespace mlxe
