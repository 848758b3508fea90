#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#include "base/leftovers.h"

namespace mlxe::cli {
namespace {

// The signals that end the process, except those that the parent process ignores (nohup, `&` in a script).
sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
  return set;
}

// Waits on a thread, because a signal handler may not access folders.
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
  } catch (const std::system_error&) {  // no thread: signals end the process without removing anything
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
}

}  // namespace mlxe::cli
