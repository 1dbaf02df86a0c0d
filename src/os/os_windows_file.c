/* Files on Windows: mapped for reading, and written so that they appear whole or not at all. Calls kernel32 only. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

#define TEMPORARY_TRIES 100
#define WRITE_STEP      ((size_t)1 << 30)

static const char *reason(DWORD code) {
    static const struct {
        DWORD code;
        const char *text;
    } reasons[] = {
        {ERROR_FILE_NOT_FOUND, "does not exist"},
        {ERROR_PATH_NOT_FOUND, "does not exist: nor does its folder"},
        {ERROR_INVALID_NAME, "has a name that files cannot have"},
        {ERROR_ACCESS_DENIED, "cannot be opened: permission denied"},
        {ERROR_SHARING_VIOLATION, "is in use by another program"},
        {ERROR_WRITE_PROTECT, "cannot be written: the disk is read-only"},
        {ERROR_DISK_FULL, "cannot be written: the disk is full"},
        {ERROR_TOO_MANY_OPEN_FILES, "cannot be opened: too many files are open"},
        {ERROR_NOT_ENOUGH_MEMORY, "does not fit into the address space or memory"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; ++i) {
        if (reasons[i].code == code) return reasons[i].text;
    }
    return "is refused by the operating system";
}

int clmoe__os_is_folder(const char *path) {
    const DWORD attributes = GetFileAttributesA(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

int clmoe__os_exists(const char *path) { return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES; }

const char *clmoe__os_list_folder(const char *path, void (*each)(void *user, const char *name), void *user) {
    WIN32_FIND_DATAA found;
    const size_t room = strlen(path) + 3;
    char *const pattern = malloc(room);
    if (pattern == NULL) return reason(ERROR_NOT_ENOUGH_MEMORY);
    (void)snprintf(pattern, room, "%s\\*", path);
    const HANDLE folder = FindFirstFileA(pattern, &found);
    const DWORD code = GetLastError();
    free(pattern);
    if (folder == INVALID_HANDLE_VALUE) return clmoe__os_exists(path) ? "is not a folder" : reason(code);
    do {
        if (strcmp(found.cFileName, ".") != 0 && strcmp(found.cFileName, "..") != 0) each(user, found.cFileName);
    } while (FindNextFileA(folder, &found));
    (void)FindClose(folder);
    return NULL;
}

static const char *map_open_file(HANDLE file, clmoe__file_map *map) {
    LARGE_INTEGER size;
    if (GetFileType(file) != FILE_TYPE_DISK) return "is not a file but a device";
    if (!GetFileSizeEx(file, &size)) return reason(GetLastError());
    if (size.QuadPart == 0) return "is empty";
    if ((uint64_t)size.QuadPart > SIZE_MAX) return reason(ERROR_NOT_ENOUGH_MEMORY);
    const HANDLE mapping = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 0, NULL);
    if (mapping == NULL) return reason(GetLastError());
    map->data = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    const DWORD code = GetLastError();
    (void)CloseHandle(mapping); /* the view keeps it */
    if (map->data == NULL) return reason(code);
    map->bytes = (uint64_t)size.QuadPart;
    return NULL;
}

const char *clmoe__os_map_file(const char *path, clmoe__file_map *map) {
    memset(map, 0, sizeof *map);
    if (clmoe__os_is_folder(path)) return "is a folder";
    const HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                                    FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return reason(GetLastError());
    const char *const wrong = map_open_file(file, map);
    (void)CloseHandle(file);
    return wrong;
}

void clmoe__os_unmap_file(clmoe__file_map *map) {
    if (map->data != NULL) (void)UnmapViewOfFile(map->data);
    memset(map, 0, sizeof *map);
}

struct clmoe__file_writer {
    HANDLE file;
    char *target;    /* malloc'd */
    char *temporary; /* malloc'd; in the same folder */
};

static void writer_free(clmoe__file_writer *writer) {
    free(writer->target);
    free(writer->temporary);
    free(writer);
}

static const char *create_temporary(clmoe__file_writer *writer) {
    const size_t room = strlen(writer->target) + 48;
    writer->temporary = malloc(room);
    if (writer->temporary == NULL) return reason(ERROR_NOT_ENOUGH_MEMORY);
    for (unsigned i = 0; i < TEMPORARY_TRIES; ++i) {
        (void)snprintf(writer->temporary, room, "%s.%lu-%u.tmp", writer->target, GetCurrentProcessId(), i);
        writer->file = CreateFileA(writer->temporary, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
        if (writer->file != INVALID_HANDLE_VALUE) return NULL;
        const DWORD code = GetLastError();
        if (code == ERROR_PATH_NOT_FOUND) return "cannot be written: its folder does not exist";
        if (code != ERROR_FILE_EXISTS) return reason(code);
    }
    return "cannot be written: every temporary name beside it is taken";
}

const char *clmoe__os_writer_open(const char *path, clmoe__file_writer **out) {
    *out = NULL;
    if (clmoe__os_is_folder(path)) return "is a folder";
    clmoe__file_writer *const writer = calloc(1, sizeof *writer);
    if (writer == NULL) return reason(ERROR_NOT_ENOUGH_MEMORY);
    writer->target = _strdup(path);
    const char *const wrong = writer->target != NULL ? create_temporary(writer) : reason(ERROR_NOT_ENOUGH_MEMORY);
    if (wrong != NULL) {
        writer_free(writer);
        return wrong;
    }
    *out = writer;
    return NULL;
}

const char *clmoe__os_writer_write(clmoe__file_writer *writer, const void *data, size_t bytes) {
    const char *from = data;
    while (bytes != 0) {
        const size_t step = bytes < WRITE_STEP ? bytes : WRITE_STEP;
        DWORD done = 0;
        if (!WriteFile(writer->file, from, (DWORD)step, &done, NULL)) return reason(GetLastError());
        from += done;
        bytes -= done;
    }
    return NULL;
}

/* Ends the writer. `code` is what went wrong before. */
static const char *move_into_place(clmoe__file_writer *writer, DWORD code, DWORD flags) {
    if (!CloseHandle(writer->file) && code == 0) code = GetLastError();
    if (code == 0 && !MoveFileExA(writer->temporary, writer->target, MOVEFILE_REPLACE_EXISTING | flags)) {
        code = GetLastError();
    }
    if (code != 0) (void)DeleteFileA(writer->temporary);
    writer_free(writer);
    return code == 0 ? NULL : reason(code);
}

const char *clmoe__os_writer_commit(clmoe__file_writer *writer) {
    return move_into_place(writer, FlushFileBuffers(writer->file) ? 0 : GetLastError(), MOVEFILE_WRITE_THROUGH);
}

const char *clmoe__os_writer_replace(clmoe__file_writer *writer) { return move_into_place(writer, 0, 0); }

void clmoe__os_writer_give_up(clmoe__file_writer *writer) {
    if (writer == NULL) return;
    (void)CloseHandle(writer->file);
    (void)DeleteFileA(writer->temporary);
    writer_free(writer);
}

#else
typedef int clmoe__os_windows_file_is_empty; /* ISO C wants a declaration in every file */
#endif
