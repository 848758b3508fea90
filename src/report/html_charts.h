// The pictures of the HTML report, each a section of the page.
#pragma once

#include <string>

#include "mlx_encoder/compare.h"

namespace mlxe {

std::string size_chart(const Comparison& comparison);
std::string pareto_chart(const Comparison& comparison);  // empty if there is none
std::string layer_charts(const Comparison& comparison);
std::string cosine_chart(const Comparison& comparison);  // text by text
std::string drift_chart(const Comparison& comparison);   // needs a drift
std::string speed_bars(const Comparison& comparison);    // empty if nothing was measured

}  // namespace mlxe
