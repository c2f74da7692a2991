/* Ways to change a file that disk.c does not follow: the process ends there rather than leave a hole in the journal. A
   part of the service that needs one of them has to teach it to disk.c. */

#include "disk.h"

FILE *freopen64(const char *path, const char *mode, FILE *stream) {
    char full[MAX_PATH];
    if (strpbrk(mode, "wa+") && watched(AT_FDCWD, path, full)) give_up("freopen", full);
    return REAL(freopen64, FILE *, const char *, const char *, FILE *)(path, mode, stream);
}
FILE *freopen(const char *path, const char *mode, FILE *stream) { return freopen64(path, mode, stream); }
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    if ((protection & PROT_WRITE) && (flags & MAP_SHARED) && open_path(fd) && !is_shared_memory(open_path(fd)))
        give_up("a mapping", open_path(fd));
    return REAL(mmap64, void *, void *, size_t, int, int, int, off64_t)(at, length, protection, flags, fd, offset);
}
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, length, protection, flags, fd, offset);
}
#define REFUSE_FD(name, result, fd, signature, ...)                                                                    \
    result name signature {                                                                                            \
        if (open_path(fd)) give_up(#name, open_path(fd));                                                              \
        return ((result(*) signature)real(#name))(__VA_ARGS__);                                                        \
    }
REFUSE_FD(copy_file_range, ssize_t, to,
          (int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags),
          from, from_at, to, to_at, length, flags)
REFUSE_FD(sendfile64, ssize_t, to, (int to, int from, off64_t *offset, size_t length), to, from, offset, length)
REFUSE_FD(sendfile, ssize_t, to, (int to, int from, off_t *offset, size_t length), to, from, offset, length)
REFUSE_FD(splice, ssize_t, to, (int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags),
          from, from_at, to, to_at, length, flags)
REFUSE_FD(fallocate64, int, fd, (int fd, int mode, off64_t offset, off64_t length), fd, mode, offset, length)
REFUSE_FD(fallocate, int, fd, (int fd, int mode, off_t offset, off_t length), fd, mode, offset, length)
REFUSE_FD(posix_fallocate64, int, fd, (int fd, off64_t offset, off64_t length), fd, offset, length)
REFUSE_FD(posix_fallocate, int, fd, (int fd, off_t offset, off_t length), fd, offset, length)
REFUSE_FD(dup, int, fd, (int fd), fd)
REFUSE_FD(dup2, int, fd, (int fd, int other), fd, other)
#define REFUSE_PATH(name, path, signature, ...)                                                                        \
    int name signature {                                                                                               \
        char full[MAX_PATH];                                                                                           \
        if (watched(AT_FDCWD, path, full)) give_up(#name, full);                                                       \
        return ((int(*) signature)real(#name))(__VA_ARGS__);                                                           \
    }
REFUSE_PATH(renameat2, from, (int from_at, const char *from, int to_at, const char *to, unsigned flags),
            from_at, from, to_at, to, flags)
REFUSE_PATH(truncate64, path, (const char *path, off64_t size), path, size)
REFUSE_PATH(truncate, path, (const char *path, off_t size), path, size)
REFUSE_PATH(symlink, path, (const char *target, const char *path), target, path)
