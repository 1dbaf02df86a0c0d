/* clmoe: Mixture-of-Experts layers on any OpenCL device.
 *
 * This header is the whole stable interface. It brings its chapters with it, of which each may also be included alone:
 *
 *   clmoe_types.h    statuses and errors, formats of numbers, places in device memory
 *   clmoe_context.h  a device, its memory, the cache of compiled kernels
 *   clmoe_routing.h  the rule by which tokens choose experts, presets, how evenly experts were used
 *   clmoe_weights.h  tensors as models have them, packed once for the device
 *   clmoe_layer.h    activations, layers, workspaces, the forward pass
 *   clmoe_record.h   a forward pass recorded once and replayed
 *
 * The single stages of a layer, measurements and tuning are in <clmoe/clmoe_stages.h>, models from files in
 * <clmoe/clmoe_model.h>.
 *
 * Conventions, true of every function unless it says otherwise:
 *   - Shapes are written [rows, columns], row-major. T = tokens, H = hidden_size, I = intermediate_size,
 *     E = num_experts, K = top_k, slots = clmoe_routing_slots() = the (token, expert) pairs a token may have.
 *   - Functions return a clmoe_status. With `error` not NULL the detail is written there; NULL is allowed everywhere.
 *     After an error nothing was created (a *create function stores NULL), and unless an OpenCL call failed midway
 *     nothing was enqueued or written; if one did, the call has waited for what was enqueued and the outputs are
 *     undefined.
 *   - Structs start with struct_size. NAME_default(&s, sizeof s) fills every field with its default; set what differs.
 *     A library newer than its caller treats the fields the caller lacks as defaults.
 *   - The library never prints, exits or aborts, and reads the environment only while a context is created.
 *   - Objects are reference counted inside: destroying them in any order is legal, also while device work that uses
 *     them is still running. NAME_destroy(NULL) does nothing.
 *   - Contexts, weights and layers may be used by any number of threads at once. A workspace serialises its callers.
 */
#ifndef CLMOE_CLMOE_H
#define CLMOE_CLMOE_H

#include <clmoe/clmoe_types.h>
#include <clmoe/clmoe_context.h>
#include <clmoe/clmoe_routing.h>
#include <clmoe/clmoe_weights.h>
#include <clmoe/clmoe_layer.h>
#include <clmoe/clmoe_record.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLMOE_VERSION_MAJOR 0
#define CLMOE_VERSION_MINOR 1
#define CLMOE_VERSION_PATCH 0

/* The version of the library that is running: major * 1000000 + minor * 1000 + patch. */
CLMOE_API uint32_t clmoe_version(void);
/* The same as text, "0.1.0". Static storage. */
CLMOE_API const char *clmoe_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
