/* The checkpoint of `clmoe-bench load`; see load_files.h. Calls POSIX only: the library's own writer is not used, so
 * that what is read was written by other code.
 *
 *     | u64 length | header, padded by spaces to a multiple of 8 | router, f32 | expert 0: down, gate, up | expert 1
 */
#define _XOPEN_SOURCE 700
#include "load_files.h"

#include <clmoe/clmoe.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/tool.h"
#include "common/whole_file.h"

#define NAME_ROOM  4096
#define ENTRY_ROOM 224 /* of a tensor in the header */

/* ------------------------------------------------------------------------------------------------- the folder */

static char folder[NAME_ROOM], config_path[NAME_ROOM + 32], tensors_path[NAME_ROOM + 32];

void load_files_remove(void) {
    (void)unlink(config_path);
    (void)unlink(tensors_path);
    (void)rmdir(folder);
    keep_at_end(tensors_path);
    keep_at_end(config_path);
    keep_at_end(folder);
}

static const char *temporary_folder(void) {
    const char *place = getenv("TMPDIR");
    return place != NULL && place[0] != '\0' ? place : "/tmp";
}

static int make_folder(void) {
    sigset_t all, before;
    const int length = snprintf(folder, sizeof folder, "%s/clmoe-bench-load.XXXXXX", temporary_folder());
    if (length < 0 || (size_t)length >= sizeof folder) return complain("TMPDIR is too long");
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* a folder that is made is known */
    const int made = mkdtemp(folder) != NULL, code = errno;
    snprintf(config_path, sizeof config_path, "%s/config.json", folder);
    snprintf(tensors_path, sizeof tensors_path, "%s/model.safetensors", folder);
    const int failed = made && (remove_at_end(folder) || remove_at_end(config_path) || remove_at_end(tensors_path));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return made ? failed : complain("no folder can be made in %s: %s", temporary_folder(), strerror(code));
}

int load_files_fit(uint64_t bytes) {
    struct statvfs disk;
    const char *place = temporary_folder();
    if (statvfs(place, &disk) != 0) return complain("%s: %s", place, strerror(errno));
    const uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (bytes <= room / 10 * 9) return 0;
    return complain("a checkpoint of %.1f GiB does not fit into the %.1f GiB left in %s (TMPDIR)",
                    (double)bytes / 0x1p30, (double)room / 0x1p30, place);
}

/* --------------------------------------------------------------------------------------------------- the files */

static int write_config(const model *m) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"model_type\": \"olmoe\", \"num_hidden_layers\": 1, \"hidden_size\": %u, \"intermediate_size\": %u, "
             "\"num_experts\": %u, \"num_experts_per_tok\": %u, \"norm_topk_prob\": false, \"hidden_act\": \"silu\"}\n",
             m->hidden_size, m->intermediate_size, m->num_experts, m->top_k);
    FILE *file = fopen(config_path, "w");
    if (file == NULL) return complain("%s: %s", config_path, strerror(errno));
    int failed = fputs(text, file) == EOF;
    failed |= fclose(file) != 0;
    return failed ? complain("%s: %s", config_path, strerror(errno)) : 0;
}

static const char *const projections[3] = {"down", "gate", "up"};

static const char *dtype_name(uint32_t format) {
    return format == CLMOE_F32 ? "F32" : format == CLMOE_F16 ? "F16" : "BF16";
}

/* The header, malloc'd and padded; NULL without memory. */
static char *header_of(const host_layer *layer, size_t *length) {
    const model *m = layer->shape;
    const uint32_t h = m->hidden_size, width = m->intermediate_size;
    const size_t room = (3 * (size_t)m->num_experts + 2) * ENTRY_ROOM;
    const uint64_t matrix = (uint64_t)h * width * format_bytes(layer->format);
    uint64_t end = (uint64_t)m->num_experts * h * 4;
    char *text = malloc(room);
    if (text == NULL) return NULL;
    size_t used = (size_t)snprintf(text, room,
                                   "{\"model.layers.0.mlp.gate.weight\":{\"dtype\":\"F32\",\"shape\":[%u,%u],"
                                   "\"data_offsets\":[0,%llu]}",
                                   m->num_experts, h, (unsigned long long)end);
    for (uint32_t i = 0; i < 3 * m->num_experts; i++) {
        const int down = i % 3 == 0;
        used += (size_t)snprintf(text + used, room - used,
                                 ",\"model.layers.0.mlp.experts.%u.%s_proj.weight\":{\"dtype\":\"%s\","
                                 "\"shape\":[%u,%u],\"data_offsets\":[%llu,%llu]}",
                                 i / 3, projections[i % 3], dtype_name(layer->format), down ? h : width,
                                 down ? width : h, (unsigned long long)end, (unsigned long long)(end + matrix));
        end += matrix;
    }
    text[used++] = '}';
    while (used % 8 != 0) text[used++] = ' ';
    *length = used;
    return text;
}

static int put(FILE *file, const void *data, uint64_t bytes) {
    return fwrite(data, 1, (size_t)bytes, file) != (size_t)bytes;
}

static int put_layer(FILE *file, const host_layer *layer, const char *header, size_t length) {
    const model *m = layer->shape;
    const uint64_t matrix = (uint64_t)m->hidden_size * m->intermediate_size * format_bytes(layer->format);
    unsigned char first[8];
    for (size_t i = 0; i < sizeof first; i++) first[i] = (unsigned char)((uint64_t)length >> (8 * i));
    int failed = put(file, first, sizeof first) || put(file, header, length) ||
                 put(file, layer->router, (uint64_t)m->num_experts * m->hidden_size * 4);
    for (uint32_t e = 0; e < m->num_experts && !failed; e++)
        failed = put(file, layer->down[e], matrix) || put(file, layer->gate[e], matrix) ||
                 put(file, layer->up[e], matrix);
    return failed || fflush(file) != 0 || fdatasync(fileno(file)) != 0;
}

static int write_tensors(const host_layer *layer) {
    size_t length = 0;
    char *header = header_of(layer, &length);
    if (header == NULL) return complain("out of host memory");
    FILE *file = fopen(tensors_path, "wb");
    int failed = file == NULL || put_layer(file, layer, header, length);
    const int code = errno;
    if (file != NULL) failed |= fclose(file) != 0;
    free(header);
    return failed ? complain("%s: %s", tensors_path, strerror(code)) : 0;
}

const char *load_files_write(const host_layer *layer) {
    if (make_folder()) return NULL;
    if (write_config(layer->shape) || write_tensors(layer)) {
        load_files_remove();
        return NULL;
    }
    return folder;
}
