/* clmoe: a forward pass recorded once and replayed. Part of <clmoe/clmoe.h>, whose conventions hold here. */
#ifndef CLMOE_CLMOE_RECORD_H
#define CLMOE_CLMOE_RECORD_H

#include <clmoe/clmoe_layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A forward pass kept in a command buffer of the driver (cl_khr_command_buffer, versions 0.9 and 1.x), to be enqueued
 * again and again as one command: an engine that runs the same shapes in every step pays for the launches once.
 *
 * What is recorded is what clmoe_forward(layer, ..., queue, io, ...) would enqueue, and every replay gives its bits. A
 * replay reads and writes the buffers of `io` as they are then: contents may change between replays, the number of
 * tokens through io->token_count, of which io->tokens is the bound. Shapes, buffers, offsets and queue are fixed. */
typedef struct clmoe_recording clmoe_recording;

/* Records, and executes nothing.
 *   memory  the arena, as for clmoe_workspace_create; NULL: the recording has one of its own. Recordings may share
 *           memory if their replays never overlap, as on one queue
 *   queue   in order, else as for clmoe_workspace_create; every replay goes there. It is retained. Events tie replays
 *           to other queues, out-of-order ones too
 *   io      copied; its buffers are retained until the recording is destroyed
 * The recording keeps layer, weights and context alive. CLMOE_UNSUPPORTED names the device and what it lacks: the
 * extension, a version of it that is known, or its support for the queue's properties; or names what in the layer
 * cannot be recorded (experts through CLBlast). There is no fallback: clmoe_forward is for these. Any thread. */
CLMOE_API clmoe_status clmoe_record(clmoe_layer *layer, const clmoe_workspace_desc *memory, cl_command_queue queue,
                                    const clmoe_io *io, clmoe_recording **recording, clmoe_error *error);
/* Enqueues the recorded forward and returns at once, as clmoe_forward does: behind the n_wait events of `wait` and
 * behind the replay before; `done` is NULL, or receives an event the caller releases. Only where the device takes a
 * command buffer once at a time (it lacks the capability of simultaneous use) the call waits for the replay before to
 * end. Any thread; calls on one recording are serialised. */
CLMOE_API clmoe_status clmoe_replay(clmoe_recording *recording, cl_uint n_wait, const cl_event *wait, cl_event *done,
                                    clmoe_error *error);
/* Waits for replays that are still running. */
CLMOE_API void clmoe_recording_destroy(clmoe_recording *recording);

#ifdef __cplusplus
}
#endif
#endif
