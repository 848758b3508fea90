// verify() of a Router with an encoder in each route (format/encoder_routes.h).
#pragma once

#include "format/encoder_routes.h"
#include "mlx_encoder/verify.h"

namespace mlxe {

// Checks the folder's own record, and each route as a model of its own, with the record and golden in its encoder's folder.
// Names of routes and paths from the whole folder stand before what is said of a route. Errors: those of verify(); usage (a
// golden is given or asked for).
VerifyReport verify_routes(const EncoderRoutes& routes, const VerifyOptions& options);

}  // namespace mlxe
