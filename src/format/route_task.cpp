#include "format/route_task.h"

#include <fmt/format.h>

#include <vector>

#include "base/wording.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {

void refuse_task(RouteTask task, const std::string& has) {
  throw Error(ErrorCode::usage, fmt::format("the model's Router has no route for {}{}", words(task).text,
                                            has.empty() ? "" : "; it has " + has));
}

size_t require_route(const RouteOf& route_of, RouteTask task, std::span<const std::string> routes) {
  if (const auto route = route_of[task]) return *route;
  std::vector<std::string> names;
  for (const std::string& route : routes) names.push_back(printable(route));
  refuse_task(task, listed(names, names.size()));
}

}  // namespace mlxe
