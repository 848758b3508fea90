// What a GGUF file's metadata says, as the files of a model folder say it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "format/gguf_file.h"

namespace mlxe {

enum class GgufPooling { none = 0, mean = 1, cls = 2, last = 3, rank = 4 };  // as the file numbers them

// None: the file does not say. Errors: format, unsupported (another number).
std::optional<GgufPooling> gguf_pooling(const GgufFile& file);

// The tokens that a text may have. None: the file does not say.
std::optional<int64_t> gguf_context(const GgufFile& file);

// config.json of the original family. Values that a reader of config.json would refuse are left to it. Errors: format
// (a value is missing or has another type), unsupported (an architecture that is not read, a setting that config.json
// cannot say, a head whose tensors the converter leaves out).
nlohmann::json gguf_config(const GgufFile& file);

}  // namespace mlxe
