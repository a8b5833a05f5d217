/* Preloaded into the collector by `python -m bench sync`: each sync takes SYNC_DELAY_US longer,
   as on a consumer disk, and is counted in the file SYNC_COUNT_FILE, eight bytes, so that the
   bench can tell that it took effect. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t *count;
static long delay_us;

__attribute__((constructor)) static void start(void) {
  const char *delay = getenv("SYNC_DELAY_US"), *path = getenv("SYNC_COUNT_FILE");
  delay_us = delay ? atol(delay) : 0;
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) count = page;
  close(fd);
}

static int slowly(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int result = real(fd);
  struct timespec wait = {delay_us / 1000000, delay_us % 1000000 * 1000};
  if (delay_us) nanosleep(&wait, NULL);
  if (count) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
  return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
