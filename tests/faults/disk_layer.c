/* Preloaded into the collector by tests/faults/disk_layer.py: what it writes under DISK_ROOT is
   written down in DISK_LOG in order (and so can be lost again, see power.py), and the page
   DISK_CONTROL, shared with the test, makes calls fail, take long, or be the process's last, and
   the clock on the wall another one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC, TRUNCATE, UNLINK, RENAME, READ };

/* As disk_layer.py packs it. `errors`: errno of each kind of call, 0 for none. */
static struct control {
  int64_t errors[8];
  int64_t sync_delay_us;
  int64_t kill_in; /* the how many-th call of kill_op on kill_name from now, 0 for none */
  int64_t kill_op, kill_after;
  char kill_name[64];
  int64_t clock_s; /* what the clock on the wall is ahead of the real one */
} *control;

struct record {
  int64_t op, done_ns, offset, length, name_length;
};

static char root[PATH_MAX];
static size_t root_length;
static int log_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
  const char *log = getenv("DISK_LOG"), *shared = getenv("DISK_CONTROL");
  if (!getenv("DISK_ROOT") || !realpath(getenv("DISK_ROOT"), root)) return;
  root_length = strlen(root);
  if (log) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int fd = shared ? open(shared, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) control = page;
  close(fd);
}

static const char *under_root(const char *path) {
  if (!root_length || strncmp(path, root, root_length)) return NULL;
  return path[root_length] == '/' ? path + root_length + 1 : path[root_length] ? NULL : "";
}

/* The file's name below the root, NULL for others. */
static const char *name_of(int fd, char *path) {
  char link[32];
  if (!root_length) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return NULL;
  path[length] = 0;
  return under_root(path);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void last_call(int op, const char *name, int after) {
  if (!control || !control->kill_in || control->kill_op != op || control->kill_after != after)
    return;
  if (strcmp(control->kill_name, name)) return;
  if (__atomic_sub_fetch(&control->kill_in, 1, __ATOMIC_SEQ_CST) == 0) {
    kill(getpid(), SIGKILL);
    pause();
  }
}

/* True when the call is to fail. */
static int before(int op, const char *name) {
  last_call(op, name, 0);
  if (!control || !control->errors[op]) return 0;
  errno = (int)control->errors[op];
  return 1;
}

static void after(int op, const char *name, int64_t offset, const void *data, int64_t length) {
  last_call(op, name, 1);
  if (log_fd < 0) return;
  struct record r = {op, now_ns(), offset, length, (int64_t)strlen(name)};
  struct iovec parts[] = {{&r, sizeof r},
                          {(void *)name, (size_t)r.name_length},
                          {(void *)data, (size_t)length}};
  REAL(writev, ssize_t, int, const struct iovec *, int)(log_fd, parts, 3);
}

static ssize_t written(int fd, const void *data, size_t size, off64_t offset, int positioned) {
  ssize_t (*real)(int, const void *, size_t) = REAL(write, ssize_t, int, const void *, size_t);
  ssize_t (*real_at)(int, const void *, size_t, off64_t) =
      REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t);
  char path[PATH_MAX];
  int saved = errno;
  const char *name = name_of(fd, path);
  errno = saved;
  if (!name) return positioned ? real_at(fd, data, size, offset) : real(fd, data, size);
  if (before(WRITE, name)) return -1;
  pthread_mutex_lock(&mutex);
  if (!positioned) offset = lseek64(fd, 0, SEEK_CUR);
  ssize_t done = positioned ? real_at(fd, data, size, offset) : real(fd, data, size);
  if (done > 0) after(WRITE, name, offset, data, done);
  pthread_mutex_unlock(&mutex);
  return done;
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, 0, 0); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  return written(fd, data, size, offset, 1);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return written(fd, data, size, offset, 1);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
  char path[PATH_MAX];
  int saved = errno;
  const char *name = control && control->errors[READ] ? name_of(fd, path) : NULL;
  errno = saved;
  if (name && before(READ, name)) return -1;
  return REAL(pread64, ssize_t, int, void *, size_t, off64_t)(fd, data, size, offset);
}

/* Written down when it has come back: until then nothing is sure. */
static int synced(int fd, int (*real)(int)) {
  char path[PATH_MAX];
  const char *name = name_of(fd, path);
  if (!name) return real(fd);
  if (before(SYNC, name)) return -1;
  if (control && control->sync_delay_us) usleep((useconds_t)control->sync_delay_us);
  pthread_mutex_lock(&mutex);
  int result = real(fd);
  if (result == 0) after(SYNC, name, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

int fsync(int fd) { return synced(fd, REAL(fsync, int, int)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync, int, int)); }

int ftruncate64(int fd, off64_t size) {
  int (*real)(int, off64_t) = REAL(ftruncate64, int, int, off64_t);
  char path[PATH_MAX];
  const char *name = name_of(fd, path);
  if (!name) return real(fd, size);
  if (before(TRUNCATE, name)) return -1;
  pthread_mutex_lock(&mutex);
  int result = real(fd, size);
  if (result == 0) after(TRUNCATE, name, size, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
  int (*real)(const char *) = REAL(unlink, int, const char *);
  const char *name = under_root(path);
  if (!name) return real(path);
  if (before(UNLINK, name)) return -1;
  pthread_mutex_lock(&mutex);
  int result = real(path);
  if (result == 0) after(UNLINK, name, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = REAL(rename, int, const char *, const char *);
  const char *name = under_root(from), *target = under_root(to);
  if (!name || !target) return real(from, to);
  if (before(RENAME, name)) return -1;
  pthread_mutex_lock(&mutex);
  int64_t length = (int64_t)strlen(target);
  int result = real(from, to);
  if (result == 0) after(RENAME, name, 0, target, length);
  pthread_mutex_unlock(&mutex);
  return result;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
  int result = REAL(clock_gettime, int, clockid_t, struct timespec *)(clock, t);
  if (control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    t->tv_sec += control->clock_s;
  return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  int result = REAL(gettimeofday, int, struct timeval *, void *)(t, zone);
  if (control) t->tv_sec += control->clock_s;
  return result;
}

time_t time(time_t *t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
