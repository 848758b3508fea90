// Writing a model folder so that it appears complete or not at all.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string_view>

#include "format/free_space.h"

namespace mlxe {

enum class IfExists {
  refuse,   // the target may be absent or an empty folder
  replace,  // a model folder (one with a config.json) is replaced too
};

// Writes a file and flushes it to the device. Errors: io (full disk says what is needed and free).
void write_whole_file(const std::filesystem::path& path, std::string_view text);

// The same beside the file, as `.<name>.next`, then renamed over it: after a failure the old file is as it
// was and nothing else is left; a killed process leaves the sibling, which the next one replaces. Errors: io.
void replace_whole_file(const std::filesystem::path& path, std::string_view text);

// A hidden sibling of the target, `.<name>.partial-<pid>-<random>`, renamed into place by commit(). A killed
// process leaves only that; the next PendingFolder with the same target removes it once its process is gone.
class PendingFolder {
 public:
  // Errors: usage (the target exists and may not be replaced, is no folder, or it and one of `sources` lie
  // inside each other), io.
  PendingFolder(const std::filesystem::path& target, IfExists if_exists,
                std::initializer_list<std::filesystem::path> sources = {});
  // Removes everything written unless commit() succeeded.
  ~PendingFolder();
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }      // write here
  const std::filesystem::path& target() const noexcept { return target_; }  // absolute

  // Renames into place, exchanging it with an old folder in one step where the system can. Errors: usage (the
  // target has come into being meanwhile and may not be replaced), io.
  void commit();

 private:
  void check_target(std::initializer_list<std::filesystem::path> sources);
  void require_replaceable() const;
  void make_folder();
  void remove_made_parents() noexcept;
  void put_into_place();

  IfExists if_exists_;
  std::filesystem::path target_, path_;
  std::filesystem::path
      made_parent_;  // the topmost folder above the target that did not exist; empty if all did
  int lock_ = -1;    // an flock on path_ says that its process lives
};

}  // namespace mlxe
