// Detects forks. A forked child has only the thread that called fork(); locks of the other threads stay held.
#pragma once

namespace mlxe {

// How often this process and its ancestors forked since the first call. If the value changed since an
// object was constructed, the object's threads are missing in this process. Costs one load.
int fork_count() noexcept;

}  // namespace mlxe
