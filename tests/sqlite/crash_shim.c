/* Ends the process, or fills the disk, at the n-th change to a file below CRASH_FOLDER.

   Loaded with LD_PRELOAD. crash_at(n, mode) starts the count: mode 0 ends the process before the change, mode 1 after
   half of a write, mode 2 makes this and all later writes fail with ENOSPC. crash_count() returns the changes so far.
   Nothing is synced: the operating system keeps what it was given when a process ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long count, limit;
static int mode;

void crash_at(long n, int m) { count = 0; limit = n; mode = m; }
long crash_count(void) { return count; }

static int is_counted(const char *path) {
    const char *folder = getenv("CRASH_FOLDER");
    return limit && folder && !strncmp(path, folder, strlen(folder)) && !strstr(path, "-shm");
}

static int is_counted_descriptor(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_counted(path);
}

typedef ssize_t (*pwrite_type)(int, const void *, size_t, off64_t);

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    pwrite_type real = (pwrite_type)dlsym(RTLD_NEXT, "pwrite64");
    if (is_counted_descriptor(fd) && ++count >= limit) {
        if (mode == 2) { errno = ENOSPC; return -1; }
        if (mode == 1) real(fd, data, size / 2, offset);
        _exit(9);
    }
    return real(fd, data, size, offset);
}

int ftruncate64(int fd, off64_t size) {
    if (is_counted_descriptor(fd) && ++count >= limit && mode != 2) _exit(9);
    return ((int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64"))(fd, size);
}

int unlink(const char *path) {
    if (is_counted(path) && ++count >= limit && mode != 2) _exit(9);
    return ((int (*)(const char *))dlsym(RTLD_NEXT, "unlink"))(path);
}

int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
