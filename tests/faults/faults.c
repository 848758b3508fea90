/* Preloaded into the program, makes one call of one kind fail, as a full disk or an exhausted system would.
 *
 *   MLXE_FAULT=KIND:N       the N-th call of KIND, from 1, counted over all threads from main() on
 *   MLXE_FAULT=KIND:N+      that call and all after it; of writes, not those to standard error, which is on no full disk
 *   MLXE_NO_EXCHANGE=1      two files can't be exchanged in one step, as on many network volumes (not counted)
 *   MLXE_FAULT_ABORTS=1     the allocation after the call that failed finds the heap damaged: it calls abort(), and from
 *                           then on the heap is locked for ever
 *   MLXE_FAULT_HIT=FILE     is created when a call fails
 *   MLXE_FAULT_COUNTS=FILE  gets "KIND CALLS" lines when the program exits
 *   MLXE_FAULT_STACKS=FILE  gets, for each call stack that allocates, the numbers of its first and its last call
 *
 * Kinds: open read write mmap rename fsync thread memory. What a library calls inside itself is not seen: fopen
 * counts as an open of its own, the pages that malloc maps do not count. Of the kind destructor, thread-local objects
 * with a destructor, calls are counted and do not fail: where memory runs out in one, the C library ends the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

enum Kind { kOpen, kRead, kWrite, kMmap, kRename, kFsync, kThread, kMemory, kDestructor, kKinds };
static const char* const kNames[kKinds] = {"open", "read", "write", "mmap", "rename", "fsync", "thread", "memory", "destructor"};

static atomic_int armed; /* from main() on */
static atomic_long calls[kKinds];
static int failing_kind = -1, all_after, aborts;
static long first;
static const char *hit_file, *counts_file, *stacks_file;

/* ---- call stacks that allocate, by their innermost frames: a loop that allocates a million times is one of them */
enum { kFrames = 8, kStacks = 1 << 16 };
static struct Stack {
  uint64_t hash; /* 0: free */
  long first, last;
} stacks[kStacks];
static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside_note;

struct Walk {
  uint64_t hash;
  int frames;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context* frame, void* walk_pointer) {
  struct Walk* const walk = walk_pointer;
  walk->hash = (walk->hash ^ (uint64_t)_Unwind_GetIP(frame)) * 0x100000001b3u; /* FNV-1a, a word at a time */
  walk->hash ^= walk->hash >> 29;
  return ++walk->frames < kFrames ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void note_stack(long call) {
  if (inside_note) return;
  inside_note = 1;
  struct Walk walk = {0xcbf29ce484222325u, 0};
  _Unwind_Backtrace(add_frame, &walk);
  if (walk.hash == 0) walk.hash = 1;
  pthread_mutex_lock(&stacks_lock);
  for (int tried = 0; tried < kStacks; ++tried) {
    struct Stack* const s = &stacks[(walk.hash + (uint64_t)tried) % kStacks];
    if (s->hash != 0 && s->hash != walk.hash) continue;
    if (s->hash == 0) *s = (struct Stack){walk.hash, call, call};
    s->last = call;
    break;
  }
  pthread_mutex_unlock(&stacks_lock);
  inside_note = 0;
}

enum Heap { kSound, kDamaged, kLocked };
static atomic_int heap;

static void meet_damage(void) {
  int damaged = kDamaged;
  if (atomic_compare_exchange_strong(&heap, &damaged, kLocked)) abort();
  while (atomic_load(&heap) == kLocked) pause();
}

/* Whether this call fails. */
static int fails(enum Kind kind) {
  if (!atomic_load(&armed)) return 0;
  const long call = atomic_fetch_add(&calls[kind], 1) + 1;
  if (stacks_file && kind == kMemory) note_stack(call);
  if (kind == kMemory) meet_damage();
  if ((int)kind != failing_kind) return 0;
  if (call != first && !(all_after && call > first)) return 0;
  if (hit_file) {
    const long fd = syscall(SYS_openat, AT_FDCWD, hit_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) syscall(SYS_close, fd);
  }
  if (aborts) atomic_store(&heap, kDamaged);
  return 1;
}

static int fail(int error) {
  errno = error;
  return -1;
}

/* ---- from main() on */
static int (*program_main)(int, char**, char**);

static int armed_main(int argc, char** argv, char** environment) {
  const char* fault = getenv("MLXE_FAULT");
  hit_file = getenv("MLXE_FAULT_HIT");
  counts_file = getenv("MLXE_FAULT_COUNTS");
  stacks_file = getenv("MLXE_FAULT_STACKS");
  aborts = getenv("MLXE_FAULT_ABORTS") != NULL;
  for (int k = 0; fault && k < kKinds; ++k) {
    const size_t size = strlen(kNames[k]);
    if (strncmp(fault, kNames[k], size) != 0 || fault[size] != ':') continue;
    char* end = NULL;
    first = strtol(fault + size + 1, &end, 10);
    all_after = *end == '+';
    failing_kind = k;
  }
  unsetenv("LD_PRELOAD"); /* processes it starts run undisturbed */
  armed = 1;
  return program_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void* stack_end) {
  typedef int Start(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
  Start* const start = (Start*)dlsym(RTLD_NEXT, "__libc_start_main");
  program_main = main;
  return start(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}

__attribute__((destructor)) static void write_counts(void) {
  armed = 0;
  FILE* file = counts_file ? fopen(counts_file, "w") : NULL;
  if (file) {
    for (int k = 0; k < kKinds; ++k) fprintf(file, "%s %ld\n", kNames[k], calls[k]);
    fclose(file);
  }
  file = stacks_file ? fopen(stacks_file, "w") : NULL;
  if (file) {
    for (int i = 0; i < kStacks; ++i)
      if (stacks[i].hash != 0) fprintf(file, "%ld %ld\n", stacks[i].first, stacks[i].last);
    fclose(file);
  }
}

/* ---- memory: the C library's own names for its functions, as dlsym allocates */
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static void* no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

void* malloc(size_t size) { return fails(kMemory) ? no_memory() : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails(kMemory) ? no_memory() : __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return fails(kMemory) ? no_memory() : __libc_realloc(memory, size); }
void* aligned_alloc(size_t alignment, size_t size) {
  return fails(kMemory) ? no_memory() : __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) {
  void* const found = fails(kMemory) ? NULL : __libc_memalign(alignment, size);
  if (!found) return ENOMEM;
  *memory = found;
  return 0;
}

/* ---- files: system calls, as none of these does more */
static mode_t mode_of(int flags, va_list arguments) {
  return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(arguments, unsigned) : 0;
}

#define OPEN(name)                                             \
  int name(const char* path, int flags, ...) {                 \
    va_list arguments;                                         \
    va_start(arguments, flags);                                \
    const mode_t mode = mode_of(flags, arguments);             \
    va_end(arguments);                                         \
    if (fails(kOpen)) return fail(EMFILE);                     \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                         \
  int name(int folder, const char* path, int flags, ...) {   \
    va_list arguments;                                       \
    va_start(arguments, flags);                              \
    const mode_t mode = mode_of(flags, arguments);           \
    va_end(arguments);                                       \
    if (fails(kOpen)) return fail(EMFILE);                   \
    return (int)syscall(SYS_openat, folder, path, flags, mode); \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                \
  FILE* name(const char* path, const char* mode) {                                 \
    if (fails(kOpen)) {                                                            \
      errno = EMFILE;                                                              \
      return NULL;                                                                 \
    }                                                                              \
    FILE* (*const next)(const char*, const char*) = (FILE * (*)(const char*, const char*)) dlsym(RTLD_NEXT, #name); \
    return next(path, mode);                                                       \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t read(int fd, void* to, size_t size) { return fails(kRead) ? fail(EIO) : syscall(SYS_read, fd, to, size); }
ssize_t pread(int fd, void* to, size_t size, off_t at) {
  return fails(kRead) ? fail(EIO) : syscall(SYS_pread64, fd, to, size, at);
}
ssize_t pread64(int fd, void* to, size_t size, off64_t at) { return pread(fd, to, size, at); }

static int write_fails(int fd) { return fails(kWrite) && !(all_after && fd == STDERR_FILENO); }

ssize_t write(int fd, const void* from, size_t size) {
  return write_fails(fd) ? fail(ENOSPC) : syscall(SYS_write, fd, from, size);
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
  return write_fails(fd) ? fail(ENOSPC) : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  return fails(kWrite) ? fail(ENOSPC) : syscall(SYS_pwrite64, fd, from, size, at);
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) { return pwrite(fd, from, size, at); }

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
  if (fails(kMmap)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return (void*)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) {
  return mmap(at, size, protection, flags, fd, offset);
}

int rename(const char* from, const char* to) {
  return fails(kRename) ? fail(EIO) : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (flags != 0 && getenv("MLXE_NO_EXCHANGE")) return fail(EINVAL);
  return fails(kRename) ? fail(EIO) : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int fsync(int fd) { return fails(kFsync) ? fail(EIO) : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fails(kFsync) ? fail(EIO) : (int)syscall(SYS_fdatasync, fd); }

/* ---- threads */
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  typedef int Create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (fails(kThread)) return EAGAIN;
  return ((Create*)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, run, argument);
}

int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* library) {
  typedef int Register(void (*)(void*), void*, void*);
  if (atomic_load(&armed)) atomic_fetch_add(&calls[kDestructor], 1);
  return ((Register*)dlsym(RTLD_NEXT, "__cxa_thread_atexit_impl"))(destroy, object, library);
}
