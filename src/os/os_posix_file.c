/* Files on POSIX systems: mapped for reading, and written so that they appear whole or not at all. Calls libc only. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE   /* realpath, fchmod */
#define _FILE_OFFSET_BITS 64
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"
#include "size.h"

#define TEMPORARY_TRIES 100
#define WRITE_STEP      ((size_t)1 << 30) /* Linux writes at most 2 GiB at once */

static const char *reason(int code) {
    static const struct {
        int code;
        const char *text;
    } reasons[] = {
        {ENOENT, "does not exist"},
        {ENOTDIR, "does not exist: a part of the path is not a folder"},
        {EACCES, "cannot be opened: permission denied"},
        {EPERM, "cannot be opened: permission denied"},
        {EROFS, "cannot be written: the file system is read-only"},
        {ENOSPC, "cannot be written: the disk is full"},
        {EDQUOT, "cannot be written: the quota is used up"},
        {EFBIG, "cannot be written: it would be larger than files may be here"},
        {EISDIR, "is a folder"},
        {ENAMETOOLONG, "has a name that is too long"},
        {ELOOP, "is a link that leads back to itself"},
        {EMFILE, "cannot be opened: too many files are open"},
        {ENFILE, "cannot be opened: too many files are open"},
        {ENOMEM, "does not fit into the address space or memory"},
        {EIO, "cannot be read or written: the device reports an error"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; ++i) {
        if (reasons[i].code == code) return reasons[i].text;
    }
    return "is refused by the operating system";
}

int clmoe__os_is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int clmoe__os_exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

const char *clmoe__os_list_folder(const char *path, void (*each)(void *user, const char *name), void *user) {
    DIR *const folder = opendir(path);
    if (folder == NULL) return errno == ENOTDIR ? "is not a folder" : reason(errno);
    for (const struct dirent *at; (at = readdir(folder)) != NULL;)
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0) each(user, at->d_name);
    (void)closedir(folder);
    return NULL;
}

static const char *map_open_file(int file, clmoe__file_map *map) {
    struct stat status;
    if (fstat(file, &status) != 0) return reason(errno);
    if (S_ISDIR(status.st_mode)) return "is a folder";
    if (!S_ISREG(status.st_mode)) return "is not a file but a device";
    if (status.st_size == 0) return "is empty";
    if ((uint64_t)status.st_size > SIZE_MAX) return reason(ENOMEM);
    void *const data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) return reason(errno);
    map->data = data;
    map->bytes = (uint64_t)status.st_size;
    return NULL;
}

const char *clmoe__os_map_file(const char *path, clmoe__file_map *map) {
    memset(map, 0, sizeof *map);
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer would block */
    if (file < 0) return reason(errno);
    const char *const wrong = map_open_file(file, map);
    (void)close(file);
    return wrong;
}

void clmoe__os_unmap_file(clmoe__file_map *map) {
    if (map->data != NULL) (void)munmap((void *)map->data, (size_t)map->bytes);
    memset(map, 0, sizeof *map);
}

struct clmoe__file_writer {
    int file;
    char *target;    /* malloc'd */
    char *temporary; /* malloc'd; in the same folder, else renaming could copy */
};

static void writer_free(clmoe__file_writer *writer) {
    free(writer->target);
    free(writer->temporary);
    free(writer);
}

/* Where the file goes: through links, so that a link stays one. *mode becomes that of a file which is already there. */
static const char *find_target(const char *path, char **target, mode_t *mode) {
    struct stat status;
    *target = NULL;
    if (stat(path, &status) != 0) {
        if (errno != ENOENT) return reason(errno);
        if (lstat(path, &status) == 0) return "is a link that leads nowhere";
        *target = strdup(path);
        return *target != NULL ? NULL : reason(ENOMEM);
    }
    if (S_ISDIR(status.st_mode)) return "is a folder";
    if (!S_ISREG(status.st_mode)) return "is not a file but a device";
    *mode = status.st_mode & 0777;
    *target = realpath(path, NULL);
    return *target != NULL ? NULL : reason(errno);
}

/* The folder is to blame when a new file cannot be made in it. */
static const char *create_reason(int code) {
    if (code == ENOENT) return "cannot be written: its folder does not exist";
    if (code == EACCES || code == EPERM) return "cannot be written: its folder may not be written to";
    return reason(code);
}

static const char *create_temporary(clmoe__file_writer *writer) {
    const size_t room = strlen(writer->target) + 48;
    writer->temporary = malloc(room);
    if (writer->temporary == NULL) return reason(ENOMEM);
    for (unsigned i = 0; i < TEMPORARY_TRIES; ++i) {
        (void)snprintf(writer->temporary, room, "%s.%ld-%u.tmp", writer->target, (long)getpid(), i);
        writer->file = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->file >= 0) return NULL;
        if (errno != EEXIST) return create_reason(errno);
    }
    return "cannot be written: every temporary name beside it is taken";
}

const char *clmoe__os_writer_open(const char *path, clmoe__file_writer **out) {
    mode_t mode = 0;
    *out = NULL;
    clmoe__file_writer *const writer = calloc(1, sizeof *writer);
    if (writer == NULL) return reason(ENOMEM);
    const char *wrong = find_target(path, &writer->target, &mode);
    if (wrong == NULL) wrong = create_temporary(writer);
    if (wrong != NULL) {
        writer_free(writer);
        return wrong;
    }
    if (mode != 0) (void)fchmod(writer->file, mode); /* best effort: the file is as good with the mode of a new one */
    *out = writer;
    return NULL;
}

const char *clmoe__os_writer_write(clmoe__file_writer *writer, const void *data, size_t bytes) {
    const char *from = data;
    while (bytes != 0) {
        const ssize_t done = write(writer->file, from, bytes < WRITE_STEP ? bytes : WRITE_STEP);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return reason(errno);
        from += done;
        bytes -= (size_t)done;
    }
    return NULL;
}

/* The new name is on the disk when the folder is; a system that cannot do that has still renamed the file. */
static void sync_folder(char *path) {
    char *const slash = strrchr(path, '/');
    if (slash != NULL) slash[slash == path] = '\0';
    const int folder = open(slash != NULL ? path : ".", O_RDONLY | O_CLOEXEC);
    if (folder < 0) return;
    (void)fsync(folder);
    (void)close(folder);
}

/* Ends the writer. `code` is what went wrong before. */
static const char *move_into_place(clmoe__file_writer *writer, int code, int is_durable) {
    if (close(writer->file) != 0 && code == 0) code = errno;
    if (code == 0 && rename(writer->temporary, writer->target) != 0) code = errno;
    if (code != 0)
        (void)unlink(writer->temporary);
    else if (is_durable)
        sync_folder(writer->target);
    writer_free(writer);
    return code == 0 ? NULL : reason(code);
}

const char *clmoe__os_writer_commit(clmoe__file_writer *writer) {
    int code = fsync(writer->file) == 0 ? 0 : errno;
    if (code == EINVAL) code = 0; /* a file system without a disk below it */
    return move_into_place(writer, code, 1);
}

const char *clmoe__os_writer_replace(clmoe__file_writer *writer) { return move_into_place(writer, 0, 0); }

void clmoe__os_writer_give_up(clmoe__file_writer *writer) {
    if (writer == NULL) return;
    (void)close(writer->file);
    (void)unlink(writer->temporary);
    writer_free(writer);
}

#else
typedef int clmoe__os_posix_file_is_empty; /* ISO C wants a declaration in every file */
#endif
