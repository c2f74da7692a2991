/* A disk that can be watched and can fail, preloaded into a process before libc.

   Every change below REAPPEAR_TEST_DISK_FOLDER goes, in one total order, into REAPPEAR_TEST_DISK_JOURNAL: journal.py
   reads it, power.py replays it. With a journal, syncs are recorded and not done: it says what would be durable.
   REAPPEAR_TEST_DISK_CONTROL is a file of two numbers that a test may change at any time: the bytes that are left on
   the disk (less than 0: no limit), and whether it is read-only.

   What could change a file unseen ends the process with a word (unseen.c), so that the record is whole or there is
   none. SQLite's -shm file is shared memory and needs no disk. */

#include "disk.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#define MAX_FDS 65536

struct record { int64_t moment_ns; int32_t op, fd; int64_t offset, length; };
struct control { int64_t bytes_left, read_only; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[MAX_PATH];
static size_t folder_length;
static int journal = -1;
static volatile struct control *control;
static char *paths[MAX_FDS]; /* of the open files and folders below `folder` */

void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

void give_up(const char *what, const char *path) {
    dprintf(2, "disk.c: %s of %s would not be seen; teach the library about it\n", what, path);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *watched = getenv("REAPPEAR_TEST_DISK_FOLDER"), *at = getenv("REAPPEAR_TEST_DISK_JOURNAL");
    const char *switches = getenv("REAPPEAR_TEST_DISK_CONTROL");
    if (!watched) return;
    if (!realpath(watched, folder)) abort();
    folder_length = strlen(folder);
    if (at) journal = REAL(open64, int, const char *, int, ...)(at, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (at && journal < 0) abort();
    if (switches) {
        int fd = REAL(open64, int, const char *, int, ...)(switches, O_RDWR | O_CLOEXEC);
        control = REAL(mmap64, void *, void *, size_t, int, int, int, off64_t)(
            NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (control == MAP_FAILED) abort();
        REAL(close, int, int)(fd);
    }
}

/* The absolute path of what is named, if it lies below the folder, else NULL. Its last part need not exist. */
const char *watched(int at, const char *path, char *full) {
    if (!folder_length || !path) return NULL;
    if (path[0] == '/') {
        if (strlen(path) >= MAX_PATH) return NULL;
        strcpy(full, path);
    } else {
        char base[MAX_PATH], link[64];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return NULL;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return NULL;
            base[length] = 0;
        }
        if (snprintf(full, MAX_PATH, "%s/%s", base, path) >= MAX_PATH) return NULL;
    }
    if (strncmp(full, folder, folder_length) || (full[folder_length] && full[folder_length] != '/')) return NULL;
    size_t length = strlen(full);
    while (length > folder_length && full[length - 1] == '/') full[--length] = 0;
    if (strstr(full, "/../") || strstr(full, "//")) give_up("a path that is not plain", full);
    return full;
}

const char *open_path(int fd) { return fd >= 0 && fd < MAX_FDS ? paths[fd] : NULL; }

int is_shared_memory(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, "-shm");
}

static void note(char op, int fd, int64_t offset, const void *data, size_t length) {
    if (journal < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct record head = {now.tv_sec * 1000000000LL + now.tv_nsec, op, fd, offset, (int64_t)length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
    ssize_t done = REAL(writev, ssize_t, int, const struct iovec *, int)(journal, parts, 2);
    if (done != (ssize_t)(sizeof head + length)) abort();
}

static void note_paths(char op, const char *one, const char *other) {
    char both[2 * MAX_PATH];
    size_t length = strlen(one) + 1;
    memcpy(both, one, length);
    if (other) strcpy(both + length, other);
    note(op, -1, 0, both, length + (other ? strlen(other) + 1 : 0));
}

static int refused(void) {
    if (!control || !control->read_only) return 0;
    errno = EROFS;
    return 1;
}

/* How many of `length` bytes at `offset` the disk takes; less than 0, with errno, where it takes none. */
static ssize_t room(int fd, int64_t offset, size_t length) {
    if (refused()) return -1;
    if (!control || control->bytes_left < 0) return (ssize_t)length;
    struct stat64 now;
    if (fstat64(fd, &now)) return -1;
    int64_t grows = offset + (int64_t)length - now.st_size;
    if (grows <= 0) return (ssize_t)length;
    if (grows > control->bytes_left) {
        length -= (size_t)(grows - control->bytes_left);
        grows = control->bytes_left;
        if ((int64_t)length <= 0) return errno = ENOSPC, -1;
    }
    control->bytes_left -= grows;
    return (ssize_t)length;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    char full[MAX_PATH];
    int (*open_it)(int, const char *, int, ...) = REAL(openat64, int, int, const char *, int, ...);
    if (!watched(at, path, full)) return open_it(at, path, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) give_up("a file without a name", full);
    pthread_mutex_lock(&lock);
    struct stat64 before;
    int there = !stat64(full, &before), fd = -1;
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || ((flags & O_CREAT) && !there);
    if (!(writes && refused()) && (fd = open_it(at, path, flags, mode)) >= 0) {
        if (fd >= MAX_FDS) give_up("a descriptor so high", full);
        free(paths[fd]);
        paths[fd] = strdup(full);
        note('o', fd, there && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY, full, strlen(full) + 1);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define OPEN(at)                                                                                                       \
    {                                                                                                                  \
        mode_t mode = 0;                                                                                               \
        if (flags & O_CREAT) {                                                                                         \
            va_list more;                                                                                              \
            va_start(more, flags);                                                                                     \
            mode = va_arg(more, mode_t);                                                                               \
            va_end(more);                                                                                              \
        }                                                                                                              \
        return opened(at, path, flags, mode);                                                                          \
    }
int open(const char *path, int flags, ...) OPEN(AT_FDCWD)
int open64(const char *path, int flags, ...) OPEN(AT_FDCWD)
int openat(int at, const char *path, int flags, ...) OPEN(at)
int openat64(int at, const char *path, int flags, ...) OPEN(at)
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    if (!open_path(fd)) return REAL(close, int, int)(fd);
    pthread_mutex_lock(&lock);
    free(paths[fd]);
    paths[fd] = NULL;
    int done = REAL(close, int, int)(fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

/* Write one run of bytes; at -1 where the file stands. */
static ssize_t written(int fd, const void *data, size_t length, int64_t offset) {
    pthread_mutex_lock(&lock);
    int64_t at = offset;
    int flags = fcntl(fd, F_GETFL);
    if (flags & O_APPEND) {
        struct stat64 now;
        at = fstat64(fd, &now) ? 0 : now.st_size;
    } else if (offset < 0) {
        at = lseek64(fd, 0, SEEK_CUR);
    }
    ssize_t done = room(fd, at, length);
    if (done > 0)
        done = offset < 0 ? REAL(write, ssize_t, int, const void *, size_t)(fd, data, (size_t)done)
                          : REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)(fd, data, (size_t)done, offset);
    int error = errno;
    if (done > 0 && !is_shared_memory(paths[fd])) note('w', fd, at, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static ssize_t written_parts(int fd, const struct iovec *parts, int count, int64_t offset) {
    ssize_t total = 0;
    for (int part = 0; part < count; part++) {
        if (!parts[part].iov_len) continue;
        ssize_t done = written(fd, parts[part].iov_base, parts[part].iov_len, offset < 0 ? offset : offset + total);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[part].iov_len) break;
    }
    return total;
}

ssize_t write(int fd, const void *data, size_t length) {
    if (!open_path(fd)) return REAL(write, ssize_t, int, const void *, size_t)(fd, data, length);
    return written(fd, data, length, -1);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    if (!open_path(fd)) return REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t)(fd, data, length, offset);
    return written(fd, data, length, offset);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!open_path(fd)) return REAL(writev, ssize_t, int, const struct iovec *, int)(fd, parts, count);
    return written_parts(fd, parts, count, -1);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    if (open_path(fd)) return written_parts(fd, parts, count, offset);
    return REAL(pwritev64v2, ssize_t, int, const struct iovec *, int, off64_t, int)(fd, parts, count, offset, flags);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(fd, parts, count, offset, flags);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return pwritev64v2(fd, parts, count, offset, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64v2(fd, parts, count, offset, 0);
}

int ftruncate64(int fd, off64_t size) {
    if (!open_path(fd)) return REAL(ftruncate64, int, int, off64_t)(fd, size);
    pthread_mutex_lock(&lock);
    struct stat64 now;
    int done = fstat64(fd, &now) || (size > now.st_size && room(fd, now.st_size, 1) < 0) || refused() ? -1 : 0;
    if (!done) done = REAL(ftruncate64, int, int, off64_t)(fd, size);
    int error = errno;
    if (!done && !is_shared_memory(paths[fd])) note('t', fd, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, const char *name) {
    if (journal < 0 || !open_path(fd)) return ((int (*)(int))real(name))(fd);
    pthread_mutex_lock(&lock);
    note('s', fd, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

/* Run a change of names under the lock, and record it where it was done. */
#define NAMES(op, one, other, call)                                                                                    \
    pthread_mutex_lock(&lock);                                                                                         \
    int done = refused() ? -1 : (call), error = errno;                                                                 \
    if (!done) note_paths(op, one, other);                                                                             \
    pthread_mutex_unlock(&lock);                                                                                       \
    errno = error;                                                                                                     \
    return done;

static int moved(char op, int from_at, const char *from, int to_at, const char *to) {
    char full_from[MAX_PATH], full_to[MAX_PATH];
    const char *one = watched(from_at, from, full_from), *other = watched(to_at, to, full_to);
    int (*rename_it)(int, const char *, int, const char *) = REAL(renameat, int, int, const char *, int, const char *);
    int (*link_it)(int, const char *, int, const char *, int) =
        REAL(linkat, int, int, const char *, int, const char *, int);
    if (!one && !other)
        return op == 'r' ? rename_it(from_at, from, to_at, to) : link_it(from_at, from, to_at, to, 0);
    if (!one || !other) give_up("a move into or out", one ? one : other);
    NAMES(op, one, other, op == 'r' ? rename_it(from_at, from, to_at, to) : link_it(from_at, from, to_at, to, 0))
}
int rename(const char *from, const char *to) { return moved('r', AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return moved('r', from_at, from, to_at, to); }
int link(const char *from, const char *to) { return moved('l', AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    (void)flags;
    return moved('l', from_at, from, to_at, to);
}

int unlinkat(int at, const char *path, int flags) {
    char full[MAX_PATH];
    int (*unlink_it)(int, const char *, int) = REAL(unlinkat, int, int, const char *, int);
    if (!watched(at, path, full)) return unlink_it(at, path, flags);
    if (access(full, F_OK)) return errno = ENOENT, -1; /* which a read-only disk says as well */
    NAMES('u', full, NULL, unlink_it(at, path, flags))
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat64 there;
    return unlinkat(AT_FDCWD, path, !stat64(path, &there) && S_ISDIR(there.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int at, const char *path, mode_t mode) {
    char full[MAX_PATH];
    int (*make_it)(int, const char *, mode_t) = REAL(mkdirat, int, int, const char *, mode_t);
    if (!watched(at, path, full)) return make_it(at, path, mode);
    if (!access(full, F_OK)) return errno = EEXIST, -1; /* which a read-only disk says as well */
    NAMES('m', full, NULL, make_it(at, path, mode))
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
