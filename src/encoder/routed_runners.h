// The models of a folder: one, or one for each route of a Router with an encoder in each (format/encoder_routes.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "format/encoder_routes.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

class RoutedRunners {
 public:
  // Loads the routes that a task takes; they share the threads. Warns of the other routes, and of routes whose vectors
  // have different widths. Errors: those of TextRunner and encoder_routes.
  RoutedRunners(const std::filesystem::path& folder, const EncoderOptions& options);

  // The model of texts without a task; if the Router has no route for them, that of the first route that was loaded.
  const TextRunner& main() const noexcept { return *runners_[main_]; }
  // Errors: usage (the Router has no route for the task).
  const TextRunner& of(EmbedTask task) const;
  // The Router's routes, also of one behind a shared encoder; empty without a Router.
  std::vector<std::string> names() const;
  // Encoder::fingerprint.
  std::string fingerprint() const;

  // The options for the model of the task's route: there a prompt is no alternative to the task, which chose the model.
  template <class Options>
  Options in_route(Options options) const {
    if (routes_ && (options.prompt || !options.prompt_name.empty())) options.task = EmbedTask::any;
    return options;
  }

 private:
  void load_routes(const EncoderOptions& options);
  void compare_widths(const Warning& warn) const;

  std::optional<EncoderRoutes> routes_;
  std::vector<std::unique_ptr<TextRunner>> runners_;  // by route; null: no task takes it
  size_t main_ = 0;
};

}  // namespace mlxe
