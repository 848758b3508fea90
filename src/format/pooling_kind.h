// The ways in which sentence-transformers pools a text's token vectors into one vector.
#pragma once

namespace mlxe {

// In the order in which sentence-transformers concatenates them if a config sets several flags.
enum class PoolingKind { cls, max, mean, mean_sqrt_len, weighted_mean, last_token };

}  // namespace mlxe
