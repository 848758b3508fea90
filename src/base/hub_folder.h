// The name of a model whose folder is in the cache of the Hugging Face hub.
#pragma once

#include <filesystem>
#include <string>

namespace mlxe {

// "org/name", or "name" of a model without an organisation, for a folder .../models--org--name/snapshots/COMMIT or one
// inside it. Else empty.
std::string hub_name_of(const std::filesystem::path& folder);

}  // namespace mlxe
