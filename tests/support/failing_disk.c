/* A disk that fails: preloaded, it lets the n-th call below one folder fail, or all from there on;
   without an error's number the process is killed at that call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { ONE, SAME, ALL };
static char folder[PATH_MAX];
static long fatal = -1, count, times;
static int number, mode;
static const char *kind_at;

void disk_arm(const char *below, long at, int error, int how, long most) {
    strncpy(folder, below, sizeof folder - 1);
    fatal = at, number = error, mode = how, times = most, count = 0, kind_at = NULL;
}

long disk_count(void) { return count; }
const char *disk_kind(void) { return kind_at ? kind_at : ""; }

static int fails(const char *kind, const char *path) {
    if (!folder[0] || !path || strncmp(path, folder, strlen(folder)) != 0) return 0;
    long now = count++;
    if (fatal < 0 || now < fatal || times == 0) return 0;
    if (now == fatal) kind_at = kind;
    else if (mode == ONE || (mode == SAME && strcmp(kind, kind_at) != 0)) return 0;
    if (!number) raise(SIGKILL);
    times--;
    errno = number;
    return 1;
}

static int fails_open(const char *kind, int descriptor) {
    char name[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(kind, path);
}

static int fails_at(const char *kind, int in, const char *path) {
    char name[64], whole[2 * PATH_MAX];
    if (!path || path[0] == '/' || in == AT_FDCWD) return fails(kind, path);
    snprintf(name, sizeof name, "/proc/self/fd/%d", in);
    ssize_t length = readlink(name, whole, PATH_MAX);
    if (length < 0) return 0;
    snprintf(whole + length, PATH_MAX, "/%s", path);
    return fails(kind, whole);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define MODE mode_t bits = 0; if (flags & (O_CREAT | __O_TMPFILE)) \
    { va_list more; va_start(more, flags); bits = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...)
{ MODE REAL(open); return fails("open", path) ? -1 : real(path, flags, bits); }
int open64(const char *path, int flags, ...)
{ MODE REAL(open64); return fails("open", path) ? -1 : real(path, flags, bits); }
int openat(int at, const char *path, int flags, ...)
{ MODE REAL(openat); return fails_at("open", at, path) ? -1 : real(at, path, flags, bits); }
int openat64(int at, const char *path, int flags, ...)
{ MODE REAL(openat64); return fails_at("open", at, path) ? -1 : real(at, path, flags, bits); }
FILE *fopen64(const char *path, const char *how)
{ REAL(fopen64); return fails("open", path) ? NULL : real(path, how); }
ssize_t write(int to, const void *data, size_t size)
{ REAL(write); return fails_open("write", to) ? -1 : real(to, data, size); }
ssize_t pwrite(int to, const void *data, size_t size, off_t place)
{ REAL(pwrite); return fails_open("write", to) ? -1 : real(to, data, size, place); }
ssize_t pwrite64(int to, const void *data, size_t size, off64_t place)
{ REAL(pwrite64); return fails_open("write", to) ? -1 : real(to, data, size, place); }
int ftruncate(int of, off_t size)
{ REAL(ftruncate); return fails_open("truncate", of) ? -1 : real(of, size); }
int ftruncate64(int of, off64_t size)
{ REAL(ftruncate64); return fails_open("truncate", of) ? -1 : real(of, size); }
int fsync(int of) { REAL(fsync); return fails_open("fsync", of) ? -1 : real(of); }
int fdatasync(int of) { REAL(fdatasync); return fails_open("fsync", of) ? -1 : real(of); }
int rename(const char *from, const char *to)
{ REAL(rename); return fails("rename", from) ? -1 : real(from, to); }
int renameat2(int at, const char *from, int in, const char *to, unsigned int flags)
{ REAL(renameat2); return fails("rename", from) ? -1 : real(at, from, in, to, flags); }
int mkdir(const char *path, mode_t bits)
{ REAL(mkdir); return fails("mkdir", path) ? -1 : real(path, bits); }
int chmod(const char *path, mode_t bits)
{ REAL(chmod); return fails("chmod", path) ? -1 : real(path, bits); }
int fchmod(int of, mode_t bits) { REAL(fchmod); return fails_open("chmod", of) ? -1 : real(of, bits); }
int link(const char *from, const char *to)
{ REAL(link); return fails("link", from) ? -1 : real(from, to); }
int linkat(int at, const char *from, int in, const char *to, int flags)
{ REAL(linkat); return fails("link", from) ? -1 : real(at, from, in, to, flags); }
int unlink(const char *path) { REAL(unlink); return fails("unlink", path) ? -1 : real(path); }
int unlinkat(int at, const char *path, int flags)
{ REAL(unlinkat); return fails_at("unlink", at, path) ? -1 : real(at, path, flags); }
int rmdir(const char *path) { REAL(rmdir); return fails("unlink", path) ? -1 : real(path); }
