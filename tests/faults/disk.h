/* What the parts of the preloaded disk know of each other. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_PATH 4096
#define REAL(name, result, ...) ((result(*)(__VA_ARGS__))real(#name)) /* libc's own */

void *real(const char *name);
const char *watched(int at, const char *path, char *full); /* the absolute path below the folder, else NULL */
const char *open_path(int fd);                             /* of an open file below the folder, else NULL */
int is_shared_memory(const char *path);
void give_up(const char *what, const char *path);
