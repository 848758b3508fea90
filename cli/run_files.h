// Which arguments of a command name files that it reads or writes.
#pragma once

#include <CLI/CLI.hpp>

namespace mlxe::cli {

// For the chosen command, once it is parsed: throws where an output is also an input, or where two outputs are
// one file (format/run_files.h). With --dry-run, standard output alone is one. Every option that names a file
// is listed in run_files.cpp; matrix.cpp checks what the list of `matrix` names. Errors: usage, io.
void require_separate_files(const CLI::App& app);

// Throws where a file that the chosen command is to write cannot be written: before a download, which may take long.
// Errors: as require_writable (base/output_file.h).
void require_writable_outputs(const CLI::App& command);

}  // namespace mlxe::cli
