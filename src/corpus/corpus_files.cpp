#include "corpus/corpus_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/file_errors.h"
#include "base/file_stamp.h"
#include "base/text.h"
#include "base/utf8.h"
#include "base/wording.h"
#include "mlx_encoder/error.h"
#include "texts/text_file.h"

namespace mlxe {

namespace fs = std::filesystem;

namespace {

constexpr size_t kNamedFiles = 4;  // most names in the warning

bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name.starts_with('_');
}

}  // namespace

std::vector<CorpusFile> corpus_files(const fs::path& folder, const Warning& warning) {
  std::vector<CorpusFile> files;
  std::vector<std::string> others, no_files;
  with_file_errors([&] {
    if (!fs::exists(folder)) throw Error(ErrorCode::not_found, folder.string() + ": no such folder");
    if (!fs::is_directory(folder))
      throw Error(ErrorCode::usage, folder.string() + ": is a file; a corpus is a folder of files");
    std::error_code failed;
    fs::recursive_directory_iterator entry(folder, failed), end;
    for (fs::path at = folder; !failed && entry != end; entry.increment(failed)) {
      at = entry->path();
      const bool is_folder = entry->is_directory() && !entry->is_symlink();
      if (is_hidden(at)) {
        if (is_folder) entry.disable_recursion_pending();
        continue;
      }
      if (is_folder) {
        if (::access(at.c_str(), R_OK | X_OK) != 0) file_failed(at, "read", errno);
        continue;
      }
      std::string name = at.lexically_relative(folder).generic_string();
      if (first_invalid_utf8(name) != kValidUtf8)
        throw Error(ErrorCode::usage, cleaned(at.string()) + ": the name is not UTF-8; rename the file");
      if (!entry->is_regular_file()) {
        no_files.push_back(std::move(name));
      } else if (!is_text_file(at)) {
        others.push_back(std::move(name));
      } else {
        const FileStamp stamp = FileStamp::of(at);
        files.push_back({at, std::move(name), stamp.size, stamp.modified});
      }
    }
    if (failed) throw Error(ErrorCode::io, folder.string() + ": " + failed.message());
    return 0;
  });
  std::ranges::sort(files, {}, &CorpusFile::name);
  std::ranges::sort(others);
  std::ranges::sort(no_files);
  const std::string known = fmt::format("{}", fmt::join(kTextFileEndings, ", "));
  if (files.empty())
    throw Error(ErrorCode::usage, fmt::format("{}: holds no file of texts; expected files that end in {}",
                                              folder.string(), known));
  if (!others.empty() && warning)
    warning(fmt::format("{}: {} file{} not end in {} and {} left out: {}", folder.string(), others.size(),
                        others.size() == 1 ? " does" : "s do", known, others.size() == 1 ? "is" : "are",
                        listed(others, kNamedFiles)));
  if (!no_files.empty() && warning)
    warning(fmt::format("{}: links to folders, broken links and what else is no file are left out: {}",
                        folder.string(), listed(no_files, kNamedFiles)));
  return files;
}

}  // namespace mlxe
