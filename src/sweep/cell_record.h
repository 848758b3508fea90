// A cell as JSON: in the table (matrix.json), and in its record beside what it was made from.
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

// The cell of the record in `file`, as CellState::recorded, if that was made from `key`; nothing where there
// is none, it was made from something else, or this version can't read it.
std::optional<SweepCell> read_record(const std::filesystem::path& file, const nlohmann::json& key);

}  // namespace mlxe
