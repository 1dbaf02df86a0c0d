/* Rows of tuning: numbers in place of the shipped ones for a device, a variant, a format, an arithmetic and a class of
 * sizes. A context has those of the library (src/select/tuned_rows.c), of the user's file, and those set by the
 * program; the later kind comes first, and of one kind a row for a class before one for any size, the last of equal
 * ones.
 *
 *     clmoe tuning 1
 *     # a comment
 *     "DEVICE" "DRIVER" VARIANT FORMAT ARITHMETIC CLASS NAME=VALUE ...
 *
 * DEVICE and DRIVER are what OpenCL calls them, with ? for quotes and control characters; a name may end in *, which
 * stands for any end. CLASS is k2048,n4096 (in_features and columns, the power of two at or above each, 64 to 65536) or
 * any. Every number of the variant's macro-kernel is there, once, in any order. A line that says anything else is
 * ignored, and so is one that has no end, for it may be cut short. */
#ifndef CLMOE_LAYER_TUNING_H
#define CLMOE_LAYER_TUNING_H

#include <clmoe/clmoe_stages.h>

#include "gemm.h"
#include "select/tuning_fields.h"

#define CLMOE__TUNING_HEADER "clmoe tuning 1"
#define CLMOE__TUNING_LINE   1024 /* bytes of a line at most */

typedef enum clmoe__tuning_origin {
    CLMOE__TUNING_SHIPPED = 1,
    CLMOE__TUNING_FILE,
    CLMOE__TUNING_SET
} clmoe__tuning_origin;

typedef struct clmoe__tuning_row {
    char device[132], driver[132];
    const clmoe__gemm_variant *variant;
    uint32_t format, arithmetic;
    uint32_t k, columns;                   /* classes; 0: any */
    uint32_t values[CLMOE__TUNING_FIELDS]; /* as clmoe__tuning_field_at counts */
    clmoe__tuning_origin origin;
    uint32_t line; /* of the file */
} clmoe__tuning_row;

/* A context's rows for its device, and what was ignored. */
typedef struct clmoe__tuning {
    char *path; /* of the user's file; NULL: switched off, or he has no place for one */
    int is_off;
    clmoe__tuning_row *rows;
    size_t count, capacity;
    uint32_t foreign, ignored; /* lines of the file for other devices; that say nothing */
    char notes[2048];          /* why, a line each, as far as they fit */
} clmoe__tuning;

/* ------------------------------------------------------------------------------------ lines (tuning_line.c) */

/* NULL, or what is wrong with the line, written to `reason`. */
const char *clmoe__tuning_parse(const char *line, size_t length, clmoe__tuning_row *row, char *reason, size_t capacity);
/* As snprintf, without an end of line. key_only: without the numbers. */
int clmoe__tuning_print(const clmoe__tuning_row *row, int key_only, char *text, size_t capacity);
/* NAME=VALUE of all numbers of a choice. */
int clmoe__tuning_print_values(const clmoe__gemm_choice *choice, char *text, size_t capacity);
int clmoe__tuning_same_key(const clmoe__tuning_row *a, const clmoe__tuning_row *b);
/* A name as lines have it. */
void clmoe__tuning_name(const char *from, char *to, size_t capacity);

/* ------------------------------------------------------------------------------- a context's rows (tuning.c) */

/* The row for a matrix; 0: there is none. */
int clmoe__tuning_find(clmoe_context *context, const clmoe__gemm_choice *choice, const clmoe__matrix *matrix,
                       clmoe__tuning_row *row);
/* Whether the row is for this device and driver; else why not. */
const char *clmoe__tuning_is_foreign(const clmoe__tuning_row *row, const clmoe__device *device, char *reason,
                                     size_t capacity);
/* Adds a row or replaces one of its key and origin. */
clmoe_status clmoe__tuning_add(clmoe_context *context, const clmoe__tuning_row *row, clmoe_error *error);
/* Forgets the rows of this origin. */
void clmoe__tuning_forget(clmoe_context *context, clmoe__tuning_origin origin);
/* The choice with the row's numbers. */
void clmoe__tuning_apply(const clmoe__tuning_row *row, clmoe__gemm_choice *choice);

/* ----------------------------------------------------------------------------------- the file (tuning_file.c) */

/* Reads the file into the context's rows; what is wrong goes to the notes and the log. */
clmoe_status clmoe__tuning_read(clmoe_context *context, clmoe_error *error);
/* Puts a row into a file in place of one of its key; all else stays as it is. Safe against other processes that do the
 * same. */
clmoe_status clmoe__tuning_save(const char *path, const clmoe__tuning_row *row, clmoe_error *error);

#endif
