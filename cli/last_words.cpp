#include "last_words.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "base/leftovers.h"
#include "base/out_of_memory.h"
#include "mlx_encoder/error.h"

namespace mlxe::cli {
namespace {

bool json_too = false;

void say(int stream, const char* text) noexcept {
  for (size_t size = std::strlen(text); size > 0;) {
    const ssize_t n = ::write(stream, text, size);
    if (n <= 0) return;
    text += n, size -= static_cast<size_t>(n);
  }
}

// Prints the error without allocating memory. Runs no destructors, because other threads are still running.
[[noreturn]] void end_program(ErrorCode code, const char* sentence) noexcept {
  static std::atomic_flag ending;
  thread_local bool is_ending = false;
  if (is_ending) ::_exit(exit_status(code));  // a second failure, while temporary files were removed
  if (ending.test_and_set())
    for (;;) ::pause();  // another thread is ending the program
  is_ending = true;
  if (json_too) {
    for (const char* part : {R"({"error":{"code":")", name(code), R"(","message":")", sentence, "\"}}\n"})
      say(STDOUT_FILENO, part);
  }
  for (const char* part : {"mlx-encoder: ", sentence, "\n"}) say(STDERR_FILENO, part);
  leftovers::remove_all();
  ::_exit(exit_status(code));
}

// The path of the file mapped at `address`, safe to print; "a file" if it is unknown.
const char* mapped_at(uintptr_t address) noexcept {
  thread_local std::array<char, 4096> line;  // several threads may fail at once
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return "a file";
  while (std::fgets(line.data(), line.size(), maps)) {
    uintptr_t begin = 0, past = 0;
    int path = 0;
    if (std::sscanf(line.data(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &begin, &past, &path) < 2 ||
        address < begin || address >= past || line[static_cast<size_t>(path)] != '/')
      continue;
    for (char* c = line.data() + path; *c != '\0'; ++c) {
      if (*c == '\n') *c = '\0';
      if (*c == '"' || *c == '\\' || (*c > 0 && *c < ' ')) *c = '?';
    }
    return line.data() + path;
  }
  return "a file";
}

// Called on the thread that read the mapped file. That thread holds no lock of the heap or of a stream, so
// that printing is safe.
void on_bus_error(int signal, siginfo_t* info, void*) {
  if (info->si_code <= 0) {  // sent by kill(), not by a failed read
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return;
  }
  thread_local std::array<char, 4400> sentence;
  std::snprintf(sentence.data(), sentence.size(),
                "%s: became shorter or unreadable while it was in use; run again when nothing writes to it",
                mapped_at(reinterpret_cast<uintptr_t>(info->si_addr)));
  end_program(ErrorCode::io, sentence.data());
}

void on_no_memory(size_t) {
  end_program(ErrorCode::io, "out of memory");
}

std::atomic<bool> memory_ran_out{false};

// Called by operator new when an allocation failed.
void on_failed_new() {
  memory_ran_out = true;
  throw std::bad_alloc();
}

// After a failed allocation, libstdc++'s std::filesystem follows null pointers or destroys what it never made; the
// second damages the heap, which ends in abort(). Any other crash stays a crash. The heap may be locked: nothing here
// allocates.
void on_crash(int signal) {
  if (memory_ran_out) end_program(ErrorCode::io, "out of memory");
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

// Called for an exception that can't be caught: thrown in a destructor, or while another one was thrown.
[[noreturn]] void on_terminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    end_program(ErrorCode::io, "out of memory");
  } catch (...) {
  }
  if (memory_ran_out) end_program(ErrorCode::io, "out of memory");
  end_program(ErrorCode::internal, "internal error: an exception could not be passed on");
}

// Runs before the constructors of other files' variables, which may also run out of memory.
__attribute__((constructor(200))) void install_before_constructors() {
  std::set_new_handler(on_failed_new);
  std::set_terminate(on_terminate);
}

}  // namespace

void install_last_words(bool json) noexcept {
  json_too = json;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
  on_out_of_memory(on_no_memory);
  for (const int signal : {SIGSEGV, SIGABRT}) ::signal(signal, on_crash);
}

}  // namespace mlxe::cli
