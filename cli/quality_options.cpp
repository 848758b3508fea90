#include "quality_options.h"

#include <fmt/format.h>

#include <iostream>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe::cli {

void add_quality(CLI::App& command, std::filesystem::path& gates, std::filesystem::path* save_baseline) {
  command.add_option("--gates", gates,
                     "File of limits (quality.toml, docs/gates.md); exit status 3 if a limit is not met");
  if (save_baseline != nullptr)
    command.add_option("--save-baseline", *save_baseline,
                       "Save the measured values to FILE.json, for limits relative to them");
}

int report_gates(std::span<const Gate> gates) {
  int status = 0;
  for (const Gate& gate : gates) {
    if (gate.passed) continue;
    std::cerr << "mlx-encoder: " << cleaned(gate.failure()) << '\n';
    status = exit_status(ErrorCode::gate);
  }
  return status;
}

}  // namespace mlxe::cli
