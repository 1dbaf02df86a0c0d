/* A lock that a file stands for, on POSIX systems. Calls libc only. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE /* flock */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "os.h"

struct clmoe__file_lock {
    int file;
};

const char *clmoe__os_lock_file(const char *path, clmoe__file_lock **out) {
    *out = NULL;
    clmoe__file_lock *const lock = malloc(sizeof *lock);
    if (lock == NULL) return "cannot be locked: memory is exhausted";
    lock->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int code = lock->file >= 0 ? 0 : errno;
    while (code == 0 && flock(lock->file, LOCK_EX) != 0) code = errno == EINTR ? 0 : errno;
    if (code == 0) {
        *out = lock;
        return NULL;
    }
    if (lock->file >= 0) (void)close(lock->file);
    free(lock);
    return code == EACCES || code == EPERM || code == EROFS ? "cannot be locked: its folder may not be written to"
           : code == ENOENT                                 ? "cannot be locked: its folder does not exist"
                                                            : "cannot be locked";
}

void clmoe__os_unlock_file(clmoe__file_lock *lock) {
    (void)close(lock->file);
    free(lock);
}

#else
typedef int clmoe__os_posix_lock_is_empty; /* ISO C wants a declaration in every file */
#endif
