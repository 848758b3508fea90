// hub_snapshot with all settings.
#pragma once

#include <filesystem>

#include "hub/hub_name.h"
#include "hub/settings.h"

namespace mlxe {

// Errors: as hub_snapshot.
std::filesystem::path fetch_snapshot(const HubName& name, const HubSettings& settings);

}  // namespace mlxe
