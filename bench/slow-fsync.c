/*
 * Preloaded into PostgreSQL alone: every fsync and fdatasync takes longer, as on a network disk.
 * The true call is made all the same, after HEDONIFY_FSYNC_DELAY_US microseconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static struct timespec delay;
static int (*true_fsync)(int);
static int (*true_fdatasync)(int);

__attribute__((constructor)) static void prepare(void) {
  const char *text = getenv("HEDONIFY_FSYNC_DELAY_US");
  long us = text == NULL ? 0 : atol(text);
  delay.tv_sec = us / 1000000;
  delay.tv_nsec = us % 1000000 * 1000;
  true_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  true_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
}

/* To its end: PostgreSQL's own signals interrupt it, and a disk would not be. */
static void wait_for_disk(void) {
  struct timespec left = delay;
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

int fsync(int fd) {
  wait_for_disk();
  return true_fsync(fd);
}

int fdatasync(int fd) {
  wait_for_disk();
  return true_fdatasync(fd);
}
