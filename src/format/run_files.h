// The files that one run reads and writes.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace mlxe {

enum class RunFileKind {
  any,      // a file; of an input, a folder too
  updated,  // an output that is part of a model which the run reads
  replaced  // an output folder, with all that is in it
};

struct RunFile {
  std::string name;  // of the option or argument that names it, for messages
  std::filesystem::path path;
  RunFileKind kind = RunFileKind::any;
};

// Throws where an output would replace an input of the run or a file of a model that the run reads, and where
// two outputs are one file. Links, hard links and other spellings are the same file. Devices, pipes and
// terminals may be shared. Errors: usage, io.
void require_separate_files(std::span<const RunFile> inputs, std::span<const RunFile> outputs);

}  // namespace mlxe
