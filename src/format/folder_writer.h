// Writing a model folder so that it appears complete or not at all.
#pragma once

#include <filesystem>
#include <initializer_list>

#include "base/file_lock.h"
#include "base/free_space.h"
#include "base/made_folders.h"
#include "base/output_file.h"

namespace mlxe {

enum class IfExists {
  refuse,   // the target must be absent or an empty folder
  replace,  // or a folder that holds a model and nothing else (format/model_folder.h), which is replaced
};

// The exclusive right to write one folder. One process at a time has it, for one or several conversions. The
// constructor creates the folders above the target and removes what killed processes left beside it.
class FolderClaim {
 public:
  // Errors: usage (the target exists and may not be replaced; it is no folder; another process writes it; it
  // contains one of `sources` or lies inside one), io.
  FolderClaim(const std::filesystem::path& target, IfExists if_exists,
              std::initializer_list<std::filesystem::path> sources = {});

  // Absolute. Links are followed, so that the folder a link points to is written and the link stays. Need not
  // exist.
  const std::filesystem::path& target() const noexcept { return target_; }
  IfExists if_exists() const noexcept { return if_exists_; }
  // Errors: usage (the target was created meanwhile and may not be replaced).
  void require_replaceable() const;

 private:
  IfExists if_exists_;
  std::filesystem::path target_;
  MadeFolders parents_;
  FileLock lock_;
};

// A hidden sibling of the target, `.<name>.partial-<pid>-<random>`, renamed into place by commit(). A killed
// process leaves only this folder; the next FolderClaim of the target removes it.
class PendingFolder {
 public:
  // `claim` must outlive this object. Errors: io.
  explicit PendingFolder(const FolderClaim& claim);
  // Removes everything written unless commit() succeeded.
  ~PendingFolder();
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }  // write here

  // Renames the folder into place; exchanges it with an old folder in one step if the system can. Returns the hidden
  // name of the old folder if that could not be removed, else an empty path. Errors: usage (the target was created
  // meanwhile and may not be replaced), io.
  std::filesystem::path commit();

 private:
  void make_folder();
  std::filesystem::path put_into_place();

  const FolderClaim& claim_;
  std::filesystem::path path_;
  int lock_ = -1;  // an flock on path_ shows that its process lives
};

// Removes a folder that holds a model and nothing else, in one step: a killed process leaves no half of it under its
// name. Of a link, the link alone. Nothing happens where there is no folder. Errors: usage (it is another folder, holds
// other files, or another process writes it), io.
void remove_model_folder(const std::filesystem::path& folder);

}  // namespace mlxe
