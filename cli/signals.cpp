#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#include "base/leftovers.h"

namespace mlxe::cli {
namespace {

// Those that end the process: what started it may have had some of them ignored (nohup, `&` in a script).
sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
  return set;
}

// A handler may not walk folders; a thread may.
void wait_for_signal(sigset_t set) {
  int signal = 0;
  while (::sigwait(&set, &signal) != 0) {
  }
  leftovers::remove_all();
  ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
}

}  // namespace

void remove_leftovers_on_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  try {
    std::thread(wait_for_signal, set).detach();
  } catch (const std::system_error&) {  // signals end the process as ever
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
}

}  // namespace mlxe::cli
