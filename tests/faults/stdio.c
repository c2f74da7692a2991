/* Streams of files below the folder. libc writes them past `write`, so they are made of the functions of disk.c instead:
   what a program has not flushed is in its own memory and nowhere in the journal, as it is in life. */

#include "disk.h"

#include <pthread.h>

#define MAX_STREAMS 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { FILE *stream; int fd; } streams[MAX_STREAMS]; /* whose descriptor libc does not tell */

static ssize_t read_some(void *fd, char *data, size_t length) { return read((int)(intptr_t)fd, data, length); }

/* All of it, or as much as goes before an error: libc takes a short write for an error of its own. */
static ssize_t write_all(void *fd, const char *data, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t more = write((int)(intptr_t)fd, data + done, length - done);
        if (more <= 0) break;
        done += (size_t)more;
    }
    return (ssize_t)done;
}

static int seek_to(void *fd, off64_t *offset, int whence) {
    off64_t at = lseek64((int)(intptr_t)fd, *offset, whence);
    if (at < 0) return -1;
    *offset = at;
    return 0;
}

static int close_it(void *fd) { return close((int)(intptr_t)fd); }

static FILE *streamed(int fd, const char *mode) {
    cookie_io_functions_t functions = {read_some, write_all, seek_to, close_it};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions);
    if (!stream) return NULL;
    pthread_mutex_lock(&lock);
    int place = 0;
    while (place < MAX_STREAMS && streams[place].stream) place++;
    if (place == MAX_STREAMS) give_up("a stream more", open_path(fd));
    streams[place].stream = stream;
    streams[place].fd = fd;
    pthread_mutex_unlock(&lock);
    return stream;
}

/* Which stream of ours it is, or -1. */
static int place_of(FILE *stream) {
    for (int place = 0; place < MAX_STREAMS; place++)
        if (stream && streams[place].stream == stream) return place;
    return -1;
}

FILE *fopen64(const char *path, const char *mode) {
    char full[MAX_PATH];
    if (!strpbrk(mode, "wa+") || !watched(AT_FDCWD, path, full))
        return REAL(fopen64, FILE *, const char *, const char *)(path, mode);
    int flags = strchr(mode, '+') ? O_RDWR : O_WRONLY;
    if (mode[0] == 'w') flags |= O_CREAT | O_TRUNC;
    if (mode[0] == 'a') flags |= O_CREAT | O_APPEND;
    if (strchr(mode, 'x')) flags |= O_EXCL;
    if (strchr(mode, 'e')) flags |= O_CLOEXEC;
    int fd = open64(path, flags, 0666);
    return fd < 0 ? NULL : streamed(fd, mode);
}
FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }
FILE *fdopen(int fd, const char *mode) {
    if (strpbrk(mode, "wa+") && open_path(fd)) return streamed(fd, mode);
    return REAL(fdopen, FILE *, int, const char *)(fd, mode);
}

int fileno(FILE *stream) {
    pthread_mutex_lock(&lock);
    int place = place_of(stream), fd = place < 0 ? -1 : streams[place].fd;
    pthread_mutex_unlock(&lock);
    return place < 0 ? REAL(fileno, int, FILE *)(stream) : fd;
}
int fileno_unlocked(FILE *stream) { return fileno(stream); }

int fclose(FILE *stream) {
    pthread_mutex_lock(&lock);
    int place = place_of(stream);
    if (place >= 0) streams[place].stream = NULL;
    pthread_mutex_unlock(&lock);
    return REAL(fclose, int, FILE *)(stream);
}
