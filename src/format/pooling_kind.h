// The ways sentence-transformers makes one vector of a text's token vectors.
#pragma once

namespace mlxe {

// In the order in which sentence-transformers concatenates them when a config asks for several by flags.
enum class PoolingKind { cls, max, mean, mean_sqrt_len, weighted_mean, last_token };

}  // namespace mlxe
