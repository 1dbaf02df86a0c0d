/* The numbers a grouped GEMM is built with: a row of tuning's where there is one that the device can run and that
 * passes the variant's self-test, else those that are shipped. */
#include <stdio.h>
#include <string.h>

#include "tuning.h"

static const char *const origins[] = {"shipped", "shipped for this device", "the user's file", "set by the program"};

static void describe_origin(const clmoe__tuning_row *row, char *text, size_t capacity) {
    if (row->origin == CLMOE__TUNING_FILE)
        snprintf(text, capacity, "%s, line %u", origins[row->origin], row->line);
    else
        snprintf(text, capacity, "%s", origins[row->origin]);
}

/* As tuned; *passed 0: it cannot be used, and `why` says it. */
static clmoe_status prove(clmoe_context *context, const clmoe__matrix *matrix, const clmoe__gemm_choice *choice,
                          int *passed, char *why, size_t capacity, clmoe_error *error) {
    const int is_block = clmoe__format_is_block(matrix->format);
    *passed = 0;
    if (!clmoe__choice_fits(context, choice, is_block, matrix->arithmetic, why, capacity)) return CLMOE_OK;
    TRY(clmoe__gemm_prove(context, choice, matrix->format, matrix->arithmetic, passed, error));
    if (!*passed) snprintf(why, capacity, "does not build or gave wrong numbers in its self-test");
    return CLMOE_OK;
}

clmoe_status clmoe__gemm_tuned(clmoe_context *context, const clmoe__matrix *matrix, const clmoe__gemm_choice *shipped,
                               clmoe__gemm_choice *choice, char *from, size_t capacity, clmoe_error *error) {
    clmoe__tuning_row row;
    char why[160], origin[64];
    int passed = 1;
    *choice = *shipped;
    snprintf(from, capacity, "%s", origins[0]);
    if (!clmoe__tuning_find(context, shipped, matrix, &row)) return CLMOE_OK;
    describe_origin(&row, origin, sizeof origin);
    clmoe__tuning_apply(&row, choice);
    if (memcmp(choice, shipped, sizeof *choice) != 0)
        TRY(prove(context, matrix, choice, &passed, why, sizeof why, error));
    snprintf(from, capacity, "%s", origin);
    if (passed) return CLMOE_OK;
    *choice = *shipped;
    snprintf(from, capacity, "%s; the row of %s: %s", origins[0], origin, why);
    clmoe__log(context, "tuning: %s for %s: the row of %s: %s", shipped->variant->name,
               clmoe__format_name(matrix->format), origin, why);
    return CLMOE_OK;
}
