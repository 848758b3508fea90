#include "base/progress_bar.h"

#include <cstdio>
#include <mutex>

#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"

namespace mlxe {

struct ProgressBar::State {
  explicit State(Drawing drawing) : bar(mlxe_progress_new(drawing == Drawing::on_terminal ? 1 : 0)) {
    if (bar == nullptr) throw Error(ErrorCode::internal, "progress bar: out of memory");
  }
  ~State() { mlxe_progress_free(bar); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MlxeProgress* bar;
  std::mutex mutex;
};

ProgressBar::ProgressBar(Drawing drawing) : state_(std::make_shared<State>(drawing)) {}

void ProgressBar::update(std::string_view stage, uint64_t done, uint64_t total) {
  std::lock_guard lock(state_->mutex);
  mlxe_progress_update(state_->bar, stage.data(), stage.size(), done, total);
}

void ProgressBar::print(std::string_view line) {
  std::lock_guard lock(state_->mutex);
  if (mlxe_progress_print(state_->bar, line.data(), line.size()) != 0) return;
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

ProgressBar::operator Progress() const {
  return [bar = *this](std::string_view stage, uint64_t done, uint64_t total) mutable {
    bar.update(stage, done, total);
  };
}

}  // namespace mlxe
