// Threads do not survive a fork: the child has the one that called it, and whatever the others held stays
// held.
#pragma once

namespace mlxe {

// How many times this process and its ancestors forked since the first call: another value than an object saw
// at its construction means that the object's threads are not here. Costs a load.
int fork_count() noexcept;

}  // namespace mlxe
