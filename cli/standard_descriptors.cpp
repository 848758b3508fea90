#include "standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "mlx_encoder/error.h"

namespace mlxe::cli {

void open_closed_standard_descriptors() noexcept {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // Open for the other direction. The lower descriptors are open, so that this one is the next free.
    const int opened = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened != descriptor) ::_exit(exit_status(ErrorCode::io));
  }
}

}  // namespace mlxe::cli
