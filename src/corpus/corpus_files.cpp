#include "corpus/corpus_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/file_errors.h"
#include "base/file_stamp.h"
#include "base/text.h"
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
  std::vector<std::string> others;
  with_file_errors([&] {
    if (!fs::exists(folder)) throw Error(ErrorCode::not_found, folder.string() + ": no such folder");
    if (!fs::is_directory(folder))
      throw Error(ErrorCode::usage, folder.string() + ": is a file; a corpus is a folder of files");
    for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
      const fs::path& path = entry->path();
      if (is_hidden(path)) {
        if (entry->is_directory()) entry.disable_recursion_pending();
        continue;
      }
      if (!entry->is_regular_file()) continue;
      std::string name = path.lexically_relative(folder).generic_string();
      if (!is_text_file(path)) {
        others.push_back(std::move(name));
        continue;
      }
      const FileStamp stamp = FileStamp::of(path);
      files.push_back({path, std::move(name), stamp.size, stamp.modified});
    }
    return 0;
  });
  std::ranges::sort(files, {}, &CorpusFile::name);
  std::ranges::sort(others);
  const std::string known = fmt::format("{}", fmt::join(kTextFileEndings, ", "));
  if (files.empty())
    throw Error(ErrorCode::usage, fmt::format("{}: holds no file of texts; expected files that end in {}",
                                              folder.string(), known));
  if (!others.empty() && warning)
    warning(fmt::format("{}: {} file{} not end in {} and {} left out: {}", folder.string(), others.size(),
                        others.size() == 1 ? " does" : "s do", known, others.size() == 1 ? "is" : "are",
                        listed(others, kNamedFiles)));
  return files;
}

}  // namespace mlxe
