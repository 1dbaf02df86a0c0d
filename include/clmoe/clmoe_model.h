/* clmoe_model: Mixture-of-Experts layers from a model's files. Link clmoe::model, which brings clmoe::clmoe with it.
 *
 * A model is a folder as the Hugging Face hub has it: config.json with model.safetensors, or several files and
 * model.safetensors.index.json. Or it is a GGUF file, whole or in parts named PREFIX-00001-of-00005.gguf. Opening reads
 * config.json and the headers of the files; the numbers themselves are mapped and touched only when a layer's weights
 * are made.
 *
 * The conventions of <clmoe/clmoe.h> hold. Anything wrong with a file is CLMOE_INVALID_FILE: error.argument names the
 * key or tensor, the message names the file too, what was found and what was expected. A file that is cut short by
 * somebody else while it is mapped ends the process, as with every program that maps files.
 */
#ifndef CLMOE_CLMOE_MODEL_H
#define CLMOE_CLMOE_MODEL_H

#include <clmoe/clmoe.h>

#if defined(CLMOE_STATIC)
#define CLMOE_MODEL_API
#elif defined(_WIN32)
#ifdef CLMOE_MODEL_BUILDING
#define CLMOE_MODEL_API __declspec(dllexport)
#else
#define CLMOE_MODEL_API __declspec(dllimport)
#endif
#else
#define CLMOE_MODEL_API CLMOE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* An open model: its configuration and mapped files. Immutable; any number of threads may use it at once. Weights and
 * layers made from it do not need it any more. */
typedef struct clmoe_model clmoe_model;

/* `path` is the folder, or one .safetensors or .json file in it; or a GGUF file, of several parts the first, or a
 * folder with one such model (safetensors go first). Errors: INVALID_FILE; UNSUPPORTED for a model_type or GGUF
 * architecture nobody taught us (the message names it, the error's log lists the known ones). */
CLMOE_MODEL_API clmoe_status clmoe_model_open(const char *path, clmoe_model **model, clmoe_error *error);
CLMOE_MODEL_API void clmoe_model_destroy(clmoe_model *model);

typedef struct clmoe_model_info {
    size_t struct_size;
    const char *model_type;    /* as config.json has it, in multimodal models the text part's; lives with the model */
    uint32_t num_layers;       /* dense ones included */
    uint32_t num_moe_layers;
    const uint32_t *moe_layers; /* [num_moe_layers], rising; lives with the model */
    uint32_t num_files;        /* of tensors */
    uint64_t file_bytes;       /* of those files */
} clmoe_model_info;

CLMOE_MODEL_API clmoe_status clmoe_model_get_info(const clmoe_model *model, clmoe_model_info *info, clmoe_error *error);

/* One MoE layer, as the files describe it. */
typedef struct clmoe_model_layer {
    size_t struct_size;
    uint32_t layer;
    uint32_t hidden_size;
    uint32_t intermediate_size;
    uint32_t num_experts; /* with weights */
    uint32_t num_classes; /* rows of the router: experts, then identities */
    uint32_t top_k;
    uint32_t shared_intermediate_size; /* all shared experts together; 0 = none */
    uint32_t latent_size;              /* 0 = none */
    uint32_t format;                   /* clmoe_format of the experts in the files */
    uint64_t bytes;                    /* of the layer's tensors in the files */
    uint64_t num_tensors;
    char rule[160];                    /* the routing rule in words: "softmax, top 8, weights / sum" */
    clmoe_layer_desc desc;             /* what clmoe_layer_create wants */
    char formats[48]; /* of all the experts' matrices, in words: "bf16", "q4_K, q6_K"; also those that nobody decodes */
} clmoe_model_layer;

/* Fills `info` for layer number `layer`, after checking that every tensor of its MoE block is there in the right shape.
 * A dense layer, or a number past the end, is INVALID_ARGUMENT and the message names the MoE layers. */
CLMOE_MODEL_API clmoe_status clmoe_model_get_layer(const clmoe_model *model, uint32_t layer, clmoe_model_layer *info,
                                                   clmoe_error *error);

typedef struct clmoe_model_weights_desc {
    size_t struct_size;
    uint32_t format;        /* as in clmoe_weights_desc; 0 = as the files have it (fp8: F8_B128 where it takes the
                             * scales), BF16 where they are narrower */
    uint32_t arithmetic;    /* clmoe_arithmetic */
    uint32_t first_expert;  /* this device's share; local_experts 0 = all */
    uint32_t local_experts;
    /* Called now and then from the calling thread with the source bytes packed so far and their sum. NULL = no call. */
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void *progress_user;
} clmoe_model_weights_desc;

CLMOE_MODEL_API void clmoe_model_weights_desc_default(clmoe_model_weights_desc *desc, size_t struct_size);

/* Packs the weights of a layer straight from the mapped files. desc may be NULL. Beyond the weights themselves it needs
 * at most 64 MiB of memory. A router, bias or scale with a value that is not finite is INVALID_FILE. */
CLMOE_MODEL_API clmoe_status clmoe_model_weights_create(const clmoe_model *model, uint32_t layer,
                                                        clmoe_context *context, const clmoe_model_weights_desc *desc,
                                                        clmoe_weights **weights, clmoe_error *error);

/* Weights and description in one: a layer ready for clmoe_forward. desc may be NULL. */
CLMOE_MODEL_API clmoe_status clmoe_model_layer_create(const clmoe_model *model, uint32_t layer, clmoe_context *context,
                                                      const clmoe_model_weights_desc *desc, clmoe_layer **made,
                                                      clmoe_error *error);

/* The i-th model_type that is known, NULL past the last. Static storage. */
CLMOE_MODEL_API const char *clmoe_model_type_name(uint32_t i);

#ifdef __cplusplus
}
#endif
#endif
