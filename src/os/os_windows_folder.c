/* Folders and the ages of files on Windows. Calls kernel32 only. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

int clmoe__os_cache_folder(char *path, size_t capacity) {
    const char *const local = clmoe__os_env("LOCALAPPDATA");
    const int length = local != NULL ? snprintf(path, capacity, "%s\\clmoe\\cache", local) : -1;
    return length > 0 && (size_t)length < capacity;
}

int clmoe__os_config_folder(char *path, size_t capacity) {
    const char *const roaming = clmoe__os_env("APPDATA");
    const int length = roaming != NULL ? snprintf(path, capacity, "%s\\clmoe", roaming) : -1;
    return length > 0 && (size_t)length < capacity;
}

static const char *make_folder(const char *path) {
    if (CreateDirectoryA(path, NULL) || clmoe__os_is_folder(path)) return NULL;
    switch (GetLastError()) {
        case ERROR_ACCESS_DENIED: return "cannot be made: permission denied";
        case ERROR_WRITE_PROTECT: return "cannot be made: the disk is read-only";
        case ERROR_ALREADY_EXISTS: return "cannot be made: there is a file of that name";
        default: return "cannot be made";
    }
}

/* Parts that are drives or shares are no folders to be made. */
const char *clmoe__os_make_folders(const char *path) {
    char *const part = _strdup(path);
    const char *wrong = NULL;
    if (part == NULL) return "cannot be made: memory is exhausted";
    for (char *at = part + (part[0] != '\0'); *at != '\0'; at++) {
        if ((*at != '\\' && *at != '/') || at[-1] == ':' || at[-1] == '\\' || at[-1] == '/') continue;
        const char kept = *at;
        *at = '\0';
        (void)make_folder(part); /* of the last one it is said whether it is there */
        *at = kept;
    }
    wrong = make_folder(part);
    free(part);
    return wrong;
}

/* 100 nanoseconds a tick. */
static uint64_t nanoseconds(FILETIME time) { return ((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) * 100u; }

int clmoe__os_file_info(const char *path, uint64_t *bytes, uint64_t *modified) {
    WIN32_FILE_ATTRIBUTE_DATA data;
    if (!GetFileAttributesExA(path, GetFileExInfoStandard, &data)) return 0;
    if ((data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) return 0;
    *bytes = (uint64_t)data.nFileSizeHigh << 32 | data.nFileSizeLow;
    *modified = nanoseconds(data.ftLastWriteTime);
    return 1;
}

uint64_t clmoe__os_file_clock(void) {
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    return nanoseconds(now);
}

void clmoe__os_file_touch(const char *path) {
    FILETIME now;
    const HANDLE file = CreateFileA(path, FILE_WRITE_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                    NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return;
    GetSystemTimeAsFileTime(&now);
    (void)SetFileTime(file, NULL, NULL, &now);
    (void)CloseHandle(file);
}

int clmoe__os_file_remove(const char *path) { return DeleteFileA(path) != 0; }

#else
typedef int clmoe__os_windows_folder_is_empty; /* ISO C wants a declaration in every file */
#endif
