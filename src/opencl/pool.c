/* Device memory with free lists: blocks given back are kept and handed out again to requests of nearly their size.
 * Calls clCreateBuffer and what goes with buffers and events, through the table.
 *
 *     bytes_reserved = blocks in use + spares          spares <= keep_bytes and <= SPARES_MAX, the oldest go first
 */
#include "pool.h"

#include <clmoe/clmoe_stages.h>
#include <stdlib.h>

#include "os/size.h"

#define SPARES_MAX 64
#define KEEP_BYTES_MAX ((uint64_t)256 << 20)
#define STATS_BYTES_MAX 4096 /* a larger struct_size is memory nobody initialised */
#define LEND_BYTES_MIN ((uint64_t)4 << 20) /* smaller blocks gain nothing from huge pages */

/* A block nobody uses. */
typedef struct spare {
    struct spare *next;
    cl_mem mem;
    uint64_t bytes;
    cl_event after; /* NULL, or the device may still use the block until this is complete */
} spare;

struct clmoe__pool {
    clmoe__mutex *mutex; /* guards everything below */
    spare *spares;       /* newest first */
    size_t spare_count;
    uint64_t spare_bytes;
    uint64_t keep_bytes; /* spares may hold so much */
    clmoe_memory_stats stats;
};

/* Pages lent to OpenCL as a buffer's memory. */
typedef struct lent_pages {
    void *pages;
    size_t bytes;
} lent_pages;

/* OpenCL calls this when the buffer is really gone, which may be long after its release and after the context: so the
 * pages are freed here and nowhere else. */
static void CL_CALLBACK return_pages(cl_mem mem, void *user) {
    lent_pages *lent = user;
    (void)mem;
    clmoe__os_pages_free(lent->pages, lent->bytes);
    free(lent);
}

static void free_lent(lent_pages *lent) {
    if (lent->pages != NULL) clmoe__os_pages_free(lent->pages, lent->bytes);
    free(lent);
}

static cl_mem create_lent(clmoe_context *context, uint64_t bytes, cl_int *code) {
    const clmoe__cl *cl = &context->cl;
    lent_pages *lent = calloc(1, sizeof *lent);
    *code = CL_OUT_OF_HOST_MEMORY;
    if (lent == NULL) return NULL;
    lent->bytes = (size_t)bytes;
    lent->pages = clmoe__os_pages_alloc(lent->bytes);
    if (lent->pages == NULL) {
        free_lent(lent);
        return NULL;
    }
    cl_mem mem = cl->clCreateBuffer(context->opencl, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, lent->bytes, lent->pages,
                                    code);
    if (mem == NULL) {
        free_lent(lent);
        return NULL;
    }
    *code = cl->clSetMemObjectDestructorCallback(mem, return_pages, lent);
    if (*code != CL_SUCCESS) {
        (void)cl->clReleaseMemObject(mem); /* never used by a command, so it is gone at once */
        free_lent(lent);
        return NULL;
    }
    return mem;
}

/* Whether a block of so many bytes is lent. */
static int is_lent(const clmoe_context *context, uint64_t bytes) {
    return context->device.is_this_host && bytes >= LEND_BYTES_MIN;
}

static cl_mem create_buffer(clmoe_context *context, uint64_t bytes, cl_int *code) {
    if (is_lent(context, bytes)) return create_lent(context, bytes, code);
    return context->cl.clCreateBuffer(context->opencl, CL_MEM_READ_WRITE, (size_t)bytes, NULL, code);
}

/* Takes *link's spare out of the list; the caller owns its objects and its memory. */
static spare *unlink_spare(struct clmoe__pool *pool, spare **link) {
    spare *s = *link;
    *link = s->next;
    pool->spare_count--;
    pool->spare_bytes -= s->bytes;
    return s;
}

/* Releasing a buffer that the device still uses is legal: OpenCL keeps it until the commands are done. */
static void release_spare(clmoe_context *context, spare *s) {
    context->pool->stats.bytes_reserved -= s->bytes;
    if (s->after != NULL) (void)context->cl.clReleaseEvent(s->after);
    (void)context->cl.clReleaseMemObject(s->mem);
    free(s);
}

static void release_oldest(clmoe_context *context) {
    spare **link = &context->pool->spares;
    while ((*link)->next != NULL) link = &(*link)->next;
    release_spare(context, unlink_spare(context->pool, link));
}

/* Whether the device is done with it. An event that cannot be asked counts as running. */
static int is_idle(const clmoe_context *context, const spare *s) {
    cl_int status = CL_QUEUED;
    if (s->after == NULL) return 1;
    const cl_int code = context->cl.clGetEventInfo(s->after, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                                                   NULL);
    return code == CL_SUCCESS && status <= CL_COMPLETE; /* negative: the command failed, and is over too */
}

/* The smallest idle spare of at least `bytes` that wastes at most a quarter, or NULL. */
static spare *take_spare(clmoe_context *context, uint64_t bytes) {
    struct clmoe__pool *pool = context->pool;
    const uint64_t limit = clmoe__add(bytes, bytes / 4);
    spare **best = NULL;
    for (spare **link = &pool->spares; *link != NULL; link = &(*link)->next) {
        const spare *s = *link;
        if (s->bytes < bytes || s->bytes > limit || (best != NULL && s->bytes >= (*best)->bytes)) continue;
        if (is_idle(context, s)) best = link;
    }
    return best != NULL ? unlink_spare(pool, best) : NULL;
}

/* Rounded so that requests of nearly the same size can share a block. */
uint64_t clmoe__pool_block_bytes(const clmoe_context *context, uint64_t bytes) {
    const uint64_t rounded = clmoe__round_up(clmoe__max(bytes, 1), bytes < 65536 ? 256 : 4096);
    return clmoe__max(bytes, clmoe__min(rounded, context->device.max_alloc_bytes));
}

static int is_out_of_memory(cl_int code) {
    return code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES || code == CL_OUT_OF_HOST_MEMORY;
}

/* With the pool locked. */
static clmoe_status new_block(clmoe_context *context, uint64_t bytes, clmoe__block *block, clmoe_error *error) {
    struct clmoe__pool *pool = context->pool;
    cl_int code = CL_SUCCESS;
    cl_mem mem = create_buffer(context, bytes, &code);
    if (mem == NULL && is_out_of_memory(code) && pool->spares != NULL) {
        while (pool->spares != NULL) release_spare(context, unlink_spare(pool, &pool->spares));
        mem = create_buffer(context, bytes, &code);
    }
    if (mem == NULL && is_out_of_memory(code)) {
        return clmoe__fail(error, CLMOE_OUT_OF_DEVICE_MEMORY, NULL,
                           "no device memory for %llu bytes (OpenCL error %d); %llu bytes are in use",
                           (unsigned long long)bytes, (int)code, (unsigned long long)pool->stats.bytes_in_use);
    }
    if (mem == NULL) return clmoe__fail_cl(error, code, "clCreateBuffer");
    block->mem = mem;
    block->bytes = bytes;
    pool->stats.bytes_reserved += bytes;
    pool->stats.high_water = clmoe__max(pool->stats.high_water, pool->stats.bytes_reserved);
    return CLMOE_OK;
}

clmoe_status clmoe__pool_alloc(clmoe_context *context, uint64_t bytes, clmoe__block *block, clmoe_error *error) {
    struct clmoe__pool *pool = context->pool;
    block->mem = NULL;
    block->bytes = 0;
    if (bytes > context->device.max_alloc_bytes) {
        return clmoe__fail(error, CLMOE_OUT_OF_DEVICE_MEMORY, NULL,
                           "a buffer of %llu bytes exceeds the largest allowed, %llu bytes (max_alloc_bytes)",
                           (unsigned long long)bytes, (unsigned long long)context->device.max_alloc_bytes);
    }
    const uint64_t size = clmoe__pool_block_bytes(context, bytes);
    clmoe_status status = CLMOE_OK;
    clmoe__mutex_lock(pool->mutex);
    pool->stats.requests++;
    spare *s = take_spare(context, size);
    if (s != NULL) {
        pool->stats.hits++;
        block->mem = s->mem;
        block->bytes = s->bytes;
        if (s->after != NULL) (void)context->cl.clReleaseEvent(s->after);
        free(s);
    } else {
        status = new_block(context, size, block, error);
    }
    pool->stats.bytes_in_use += block->bytes;
    const uint64_t reserved = pool->stats.bytes_reserved;
    clmoe__mutex_unlock(pool->mutex);
    if (status == CLMOE_OK && s == NULL) {
        clmoe__log(context, "pool: %llu bytes more, %llu in all", (unsigned long long)size,
                   (unsigned long long)reserved);
    }
    return status;
}

void clmoe__pool_drop(clmoe_context *context, clmoe__block *block) {
    if (block->mem != NULL) {
        clmoe__mutex_lock(context->pool->mutex);
        context->pool->stats.bytes_in_use -= block->bytes;
        context->pool->stats.bytes_reserved -= block->bytes;
        clmoe__mutex_unlock(context->pool->mutex);
        (void)context->cl.clReleaseMemObject(block->mem);
    }
    block->mem = NULL;
    block->bytes = 0;
}

void clmoe__pool_free(clmoe_context *context, clmoe__block *block, cl_event after) {
    struct clmoe__pool *pool = context->pool;
    spare *s = NULL;
    if (block->mem != NULL && block->bytes <= pool->keep_bytes) s = malloc(sizeof *s);
    if (s != NULL && after != NULL && context->cl.clRetainEvent(after) != CL_SUCCESS) {
        free(s);
        s = NULL;
    }
    if (s == NULL) { /* not worth keeping, or no memory to remember it by */
        clmoe__pool_drop(context, block);
        return;
    }
    s->mem = block->mem;
    s->bytes = block->bytes;
    s->after = after;
    block->mem = NULL;
    block->bytes = 0;

    clmoe__mutex_lock(pool->mutex);
    s->next = pool->spares;
    pool->spares = s;
    pool->spare_count++;
    pool->spare_bytes += s->bytes;
    pool->stats.bytes_in_use -= s->bytes;
    while (pool->spare_count > SPARES_MAX || pool->spare_bytes > pool->keep_bytes) release_oldest(context);
    clmoe__mutex_unlock(pool->mutex);
}

uint64_t clmoe__pool_page_bytes(const clmoe_context *context, const clmoe__block *block) {
    return is_lent(context, block->bytes) ? clmoe__os_pages_huge((size_t)block->bytes) : 0;
}

clmoe_status clmoe__pool_create(clmoe_context *context, clmoe_error *error) {
    struct clmoe__pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) pool->mutex = clmoe__mutex_create();
    if (pool == NULL || pool->mutex == NULL) {
        free(pool);
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for a context");
    }
    pool->keep_bytes = clmoe__min(KEEP_BYTES_MAX, context->device.global_bytes / 16);
    context->pool = pool;
    return CLMOE_OK;
}

void clmoe__pool_destroy(clmoe_context *context) {
    struct clmoe__pool *pool = context->pool;
    while (pool->spares != NULL) release_spare(context, unlink_spare(pool, &pool->spares));
    clmoe__mutex_destroy(pool->mutex);
    free(pool);
    context->pool = NULL;
}

clmoe_status clmoe_context_trim(clmoe_context *context, clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    struct clmoe__pool *pool = context->pool;
    clmoe__mutex_lock(pool->mutex);
    while (pool->spares != NULL) release_spare(context, unlink_spare(pool, &pool->spares));
    clmoe__mutex_unlock(pool->mutex);
    return CLMOE_OK;
}

clmoe_status clmoe_context_memory(const clmoe_context *context, clmoe_memory_stats *stats, clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(stats != NULL, error, "stats", "stats is NULL");
    const size_t given = stats->struct_size != 0 ? stats->struct_size : sizeof *stats;
    REQUIRE(given >= sizeof given && given <= STATS_BYTES_MAX, error, "stats.struct_size",
            "stats.struct_size is %zu, expected %zu", given, sizeof *stats);
    clmoe__mutex_lock(context->pool->mutex);
    const clmoe_memory_stats now = context->pool->stats;
    clmoe__mutex_unlock(context->pool->mutex);
    clmoe__give(stats, given, &now, sizeof now);
    return CLMOE_OK;
}
