#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <initializer_list>
#include <system_error>
#include <thread>

#include "base/leftovers.h"

namespace mlxe::cli {
namespace {

// All that end a process that does nothing about them, apart from those of a crash and of a profiler.
constexpr std::initializer_list<int> kEnding{SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                             SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2};

pthread_t cleaner;  // the thread that waits for signals; set before the handler of SIGPIPE is installed

// The ending signals, except those that the parent process ignores (nohup, `&` in a script).
sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kEnding) {
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
  // Only this one: a SIGPIPE that came meanwhile would run its handler here, which does not return.
  sigset_t taken;
  ::sigemptyset(&taken);
  ::sigaddset(&taken, signal);
  ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &taken, nullptr);
  ::raise(signal);
}

// SIGPIPE comes to the thread that writes, so the waiting thread does not see it. The writing thread goes no
// further: an error about the pipe would only change the exit status. A SIGPIPE that another process sent
// interrupts any code, also code that holds a lock which the waiting thread needs, so that goes on.
void on_broken_pipe(int, siginfo_t* info, void*) {
  ::pthread_kill(cleaner, SIGPIPE);
  const bool was_sent = info->si_code == SI_USER && info->si_pid != 0 && info->si_pid != ::getpid();
  while (!was_sent) ::pause();
}

}  // namespace

void remove_leftovers_on_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_DFL);  // also where the parent ignores it: `mlx-encoder embed ... | head` just ends
  sigset_t set = ending_signals(), broken_pipe;
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  ::sigaddset(&set, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);  // the new thread inherits this
  try {
    std::thread waiting(wait_for_signal, set);
    cleaner = waiting.native_handle();
    waiting.detach();
    struct sigaction action {};
    action.sa_sigaction = on_broken_pipe;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGPIPE, &action, nullptr);
    ::pthread_sigmask(SIG_UNBLOCK, &broken_pipe, nullptr);
  } catch (const std::system_error&) {  // no thread: signals end the process without removing anything
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
}

}  // namespace mlxe::cli
