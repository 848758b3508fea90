// A progress bar for the terminal.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "mlx_encoder/types.h"

namespace mlxe {

enum class Drawing {
  on_terminal,  // when stderr is one
  never,
};

// Draws on stderr and removes the bar when a stage is done. Copies share one bar. Thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(Drawing drawing = Drawing::on_terminal);

  // `done` of `total` units; a total of 0 means unknown. A stage that begins with "downloading " or
  // "embedding " counts bytes and shows its rate.
  void update(std::string_view stage, uint64_t done, uint64_t total);
  // A line on stderr, above the bar where one is drawn.
  void print(std::string_view line);

  // The result shares the bar's state, so the bar may be destroyed before it.
  operator Progress() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace mlxe
