/* A disk that fails on demand. Preloaded into a process; files whose path holds "hongyan.db" obey
   the switches named by HONGYAN_DISK: FILE.sync makes syncs fail with EIO, FILE.base only those of
   the database itself, FILE.full makes writes fail with ENOSPC. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int on(const char *what) {
    char path[4096];
    const char *base = getenv("HONGYAN_DISK");
    if (!base) return 0;
    snprintf(path, sizeof path, "%s.%s", base, what);
    return access(path, F_OK) == 0;
}

/* 0: not ours, 1: ours, 2: ours, and the database itself rather than its write-ahead log */
static int ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    const char *found = strstr(path, "hongyan.db");
    return found ? 1 + (strcmp(found, "hongyan.db") == 0) : 0;
}

#define FAIL(what, error, result) \
    if (ours(fd) && on(what)) { errno = error; return result; }
#define FAIL_BASE() \
    if (ours(fd) == 2 && on("base")) { errno = EIO; return -1; }

int fsync(int fd) {
    FAIL("sync", EIO, -1)
    FAIL_BASE()
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    FAIL("sync", EIO, -1)
    FAIL_BASE()
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

ssize_t write(int fd, const void *data, size_t n) {
    FAIL("full", ENOSPC, -1)
    return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, n);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    FAIL("full", ENOSPC, -1)
    return ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(
        fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    FAIL("full", ENOSPC, -1)
    return ((ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64"))(
        fd, data, n, at);
}
