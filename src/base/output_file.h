// The one writer of output files: a file appears whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mlxe {

enum class Placement {
  replace,  // written beside the target under a name of its own and renamed over it; links are followed
  fresh,    // written in place: for a folder that nobody else sees yet
};

// A device, pipe or open descriptor (/dev/null, a FIFO, /dev/stdout) gets all bytes in finish(), and is not
// replaced. A folder or other node is refused. A killed process leaves at most
// `.NAME.partial-<pid>-<random>`; the next OutputFile with the same target removes it.
class OutputFile {
 public:
  // `size`: final size in bytes, if known; it is compared with the free space. Errors: usage (not a file,
  // device or pipe that can be written; a pipe that nobody reads), io. Throws every error that can be known
  // before writing: a missing or write-protected folder, a write-protected file.
  explicit OutputFile(std::filesystem::path path, std::optional<uint64_t> size = {},
                      Placement placement = Placement::replace);
  // Leaves the target unchanged unless finish() succeeded.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }  // as it was given
  bool is_standard_output() const noexcept { return is_standard_output_; }

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  // Overwrites the first bytes: for a header whose content is known only after the rest is written.
  void rewrite_start(std::string_view bytes);
  // Flushes to the device and renames the file into place. Replaces a file that another process put there
  // meanwhile. Errors: internal (other than `size` bytes were written), io.
  void finish();

 private:
  void open(Placement placement);
  void abandon() noexcept;
  void open_existing(const std::filesystem::path& target);
  void open_partial(const std::filesystem::path& target);
  void open_spool();
  void flush();
  void copy_to_node();
  void put_into_place();
  void write_through(int fd, const std::byte* data, size_t size);
  [[noreturn]] void failed(const char* what, int error) const;

  std::filesystem::path path_;
  std::filesystem::path target_;   // path_ with its links followed
  std::filesystem::path partial_;  // the file that is removed unless it is finished
  std::optional<uint64_t> size_;
  uint64_t written_ = 0;
  std::vector<std::byte> buffer_;
  int fd_ = -1;
  int node_ = -1;  // the device, pipe or descriptor that finish() writes to
  bool is_standard_output_ = false;
};

// A whole file at once. Errors: as OutputFile.
void write_whole_file(const std::filesystem::path& path, std::string_view text,
                      Placement placement = Placement::replace);

// Throws the errors that an OutputFile with this path would throw. To be called before long work.
void require_writable(const std::filesystem::path& path);

// The regular file (existing or not) that `path` denotes; none for a device, pipe or descriptor. Errors: io.
std::optional<std::filesystem::path> regular_output(const std::filesystem::path& path);

}  // namespace mlxe
