// A cell as JSON: in the table (matrix.json), and in its record, together with its key.
//
//   {"made_from": {...}, "cell": {...}, "comparison": as `compare --json`, "evaluation": as `evaluate
//   --json`}
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "mlx_encoder/matrix.h"

namespace mlxe {

inline constexpr int kRecordVersion = 2;

nlohmann::ordered_json cell_json(const SweepCell& cell);  // docs/json/matrix.md

// The cell in the record `file`, as CellState::recorded, if the record has this `key`. None if the file is missing, has
// another key, or can't be read by this version.
std::optional<SweepCell> read_record(const std::filesystem::path& file, const nlohmann::json& key);

}  // namespace mlxe
