// What a text is for, by which a Router of sentence-transformers chooses its way.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace mlxe {

enum class RouteTask { none, query, document };
inline constexpr std::array kRouteTasks{RouteTask::none, RouteTask::query, RouteTask::document};

struct RouteTaskWords {
  const char* name;          // sentence-transformers' task
  const char *text, *texts;  // in messages
};
constexpr RouteTaskWords words(RouteTask task) noexcept {
  constexpr std::array<RouteTaskWords, kRouteTasks.size()> kWords{
      {{"None", "a text without a task", "texts without a task"},
       {"query", "a query", "queries"},
       {"document", "a document", "documents"}}};
  return kWords[static_cast<size_t>(task)];
}

// One value a task.
template <class T>
class ByTask {
 public:
  T& operator[](RouteTask task) noexcept { return values_[static_cast<size_t>(task)]; }
  const T& operator[](RouteTask task) const noexcept { return values_[static_cast<size_t>(task)]; }
  const T* begin() const noexcept { return values_.data(); }
  const T* end() const noexcept { return values_.data() + values_.size(); }

 private:
  std::array<T, kRouteTasks.size()> values_ = {};
};

// Indices of routes; none: the Router has no route for these texts.
using RouteOf = ByTask<std::optional<size_t>>;

// `has`: what the Router has instead. Errors: usage, always.
[[noreturn]] void refuse_task(RouteTask task, const std::string& has);
// The task's route. Errors: usage (there is none; names the `routes`).
size_t require_route(const RouteOf& route_of, RouteTask task, std::span<const std::string> routes);

}  // namespace mlxe
