/* Folders and the ages of files on POSIX systems. Calls libc only. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE   /* st_mtim */
#define _FILE_OFFSET_BITS 64
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os.h"

#if defined(__APPLE__)
#define MODIFIED st_mtimespec
#else
#define MODIFIED st_mtim
#endif

/* The XDG base directory specification: relative paths are to be ignored. */
static int user_folder(const char *variable, const char *below_home, char *path, size_t capacity) {
    const char *const xdg = clmoe__os_env(variable), *const home = clmoe__os_env("HOME");
    int length = -1;
    if (xdg != NULL && xdg[0] == '/')
        length = snprintf(path, capacity, "%s/clmoe", xdg);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, capacity, "%s/%s/clmoe", home, below_home);
    return length > 0 && (size_t)length < capacity;
}

int clmoe__os_cache_folder(char *path, size_t capacity) {
    return user_folder("XDG_CACHE_HOME", ".cache", path, capacity);
}

int clmoe__os_config_folder(char *path, size_t capacity) {
    return user_folder("XDG_CONFIG_HOME", ".config", path, capacity);
}

/* One folder; that it is there already is no fault. */
static const char *make_folder(const char *path) {
    if (mkdir(path, 0700) == 0 || clmoe__os_is_folder(path)) return NULL;
    switch (errno) {
        case EACCES:
        case EPERM: return "cannot be made: permission denied";
        case EROFS: return "cannot be made: the file system is read-only";
        case EEXIST:
        case ENOTDIR: return "cannot be made: there is a file of that name";
        case ENOSPC:
        case EDQUOT: return "cannot be made: the disk is full";
        default: return "cannot be made";
    }
}

const char *clmoe__os_make_folders(const char *path) {
    char *const part = strdup(path);
    const char *wrong = NULL;
    if (part == NULL) return "cannot be made: memory is exhausted";
    for (char *slash = part; wrong == NULL && *slash != '\0' && (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        wrong = make_folder(part);
        *slash = '/';
    }
    if (wrong == NULL) wrong = make_folder(part);
    free(part);
    return wrong;
}

static uint64_t nanoseconds(const struct timespec *time) {
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

int clmoe__os_file_info(const char *path, uint64_t *bytes, uint64_t *modified) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    *bytes = (uint64_t)status.st_size;
    *modified = nanoseconds(&status.MODIFIED);
    return 1;
}

uint64_t clmoe__os_file_clock(void) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(&now);
}

void clmoe__os_file_touch(const char *path) { (void)utimensat(AT_FDCWD, path, NULL, 0); }
int clmoe__os_file_remove(const char *path) { return unlink(path) == 0; }

#else
typedef int clmoe__os_posix_folder_is_empty; /* ISO C wants a declaration in every file */
#endif
