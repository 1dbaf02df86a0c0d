/* A lock that a file stands for, on Windows: an open file that nobody else may open. Calls kernel32 only. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdlib.h>

#include "os.h"

#define WAIT_MS 10

struct clmoe__file_lock {
    HANDLE file;
};

const char *clmoe__os_lock_file(const char *path, clmoe__file_lock **out) {
    *out = NULL;
    clmoe__file_lock *const lock = malloc(sizeof *lock);
    if (lock == NULL) return "cannot be locked: memory is exhausted";
    for (;;) {
        lock->file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
        if (lock->file != INVALID_HANDLE_VALUE || GetLastError() != ERROR_SHARING_VIOLATION) break;
        Sleep(WAIT_MS);
    }
    if (lock->file != INVALID_HANDLE_VALUE) {
        *out = lock;
        return NULL;
    }
    const DWORD code = GetLastError();
    free(lock);
    return code == ERROR_PATH_NOT_FOUND  ? "cannot be locked: its folder does not exist"
           : code == ERROR_ACCESS_DENIED ? "cannot be locked: its folder may not be written to"
                                         : "cannot be locked";
}

void clmoe__os_unlock_file(clmoe__file_lock *lock) {
    (void)CloseHandle(lock->file);
    free(lock);
}

#else
typedef int clmoe__os_windows_lock_is_empty; /* ISO C wants a declaration in every file */
#endif
