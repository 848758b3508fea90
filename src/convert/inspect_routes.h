// inspect_model() of a Router with an encoder in each route (format/encoder_routes.h).
#pragma once

#include "format/encoder_routes.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

// The inspections of all routes as one: sums, and names with the encoder's folder before them. Other readers know no Router.
// Errors: those of inspect_model.
Inspection inspect_routes(const EncoderRoutes& routes, int threads);

}  // namespace mlxe
