// The format of an output file: by an option, else by the file's ending.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace mlxe {

// The index in `formats` ("npy", "jsonl", ...) of `format` (--output-format) or, if that is empty, of the file's ending;
// 0 for a pipe or device of another name. Errors: usage.
size_t output_format(const std::filesystem::path& path, const std::string& format,
                     std::span<const std::string_view> formats);

}  // namespace mlxe
