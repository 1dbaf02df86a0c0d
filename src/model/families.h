/* Families of models as rows of data: which keys of config.json, or of a GGUF file's metadata, hold the sizes, which
 * routing rule applies and what a configuration may change in it, which layers have a mixture of experts, and what
 * their tensors are called. config.c and model_layer.c read the rows and know no family by name.
 *
 * To add a family whose parts are known:
 * 1. A row in families.c: its model_types, the name of its rule (clmoe_routing_preset_name), the keys of E, K, I and S,
 * the
 *      rule for its layers, the settings with their class defaults, and its tensors. Where no form of experts or shared
 *      experts has its tensor names, a form beside the others.
 * 2. A golden case under tests/golden/hf: config.json, the checkpoint of one layer, input and expected output. The
 * tests find
 *      the folder by themselves.
 *   3. A row in tests/model_rows.c: a config with the expected sizes and rule, and the tensor names.
 * An architecture of GGUF files is a row in families_gguf.c and one in tests/gguf_rows.c.
 * Nothing else: a row with a key, a tensor or a rule of an unknown kind is what needs code.
 *
 * In keys '|' separates alternatives, the first that is present counts; a dot leads into an object. In tensor names '#'
 * is the number of the layer and '*' the number of the expert. */
#ifndef CLMOE_MODEL_FAMILIES_H
#define CLMOE_MODEL_FAMILIES_H

#include "model.h"

/* --------------------------------------------------------------------------------- which layers are MoE */

/* a and b are keys, x and y what they are when absent. */
typedef enum clmoe__layers_kind {
    CLMOE__EVERY,  /* all */
    CLMOE__FROM,   /* l >= a; a NULL: l >= x */
    CLMOE__STEP,   /* (l + 1) % a == 0, and l is not in the list b; absent: the first y layers are in it */
    CLMOE__PERIOD, /* l % a == b */
    CLMOE__LISTED, /* l is in the list b; absent: (l + 1) % a == 0 */
    CLMOE__RANGE,  /* (l + 1) % a == 0 and first <= l <= last (-1: the last layer) */
    CLMOE__TEXT,   /* l is in the list b, numbers in an array or in a string "3,4,5"; absent: l >= x */
    CLMOE__ROUTED, /* l has a router among the tensors (GGUF) */
    CLMOE__FLAGS,  /* list a has a number other than 0 at l; absent: all */
    CLMOE__BLOCKS  /* list a has "moe" at l, or the string b has 'E'; their length is the number of layers */
} clmoe__layers_kind;

typedef struct clmoe__layers_rule {
    clmoe__layers_kind kind;
    const char *a, *b, *c, *d; /* RANGE: c and d are the keys of first and last */
    uint32_t x, y;
    const char
        *types; /* the words in mlp_layer_types for an MoE layer and for others, "sparse|dense"; where present, that
                        * list decides. NULL: it means nothing here */
} clmoe__layers_rule;

/* --------------------------------------------------------------------- what a configuration sets in the rule */

typedef enum clmoe__setting_kind {
    CLMOE__END = 0,
    CLMOE__PRESET, /* a word, or an integer: text is "word=preset|word=preset", the first is the default; without
                    * "=preset" the rule stays, and the text says which words are allowed */
    CLMOE__ACTIVATION, /* a word: text is the default; of experts and shared experts */
    CLMOE__SHARED_ACTIVATION,
    CLMOE__COMBINE, /* where there are shared experts, "average" halves both sums, "root" multiplies them by the root of
                     * 1/2, "sum" leaves them; text as PRESET */
    CLMOE__REFUSE,  /* a flag that must not be true */
    CLMOE__HAS_SELECT_BIAS, /* a flag: is there a selection bias */
    CLMOE__NORMALIZE,       /* a flag: are weights divided by their sum */
    CLMOE__NORM_P,          /* numbers from here on: the p of the norm, null = none */
    CLMOE__NORM_FLOOR,
    CLMOE__SCALE,        /* of the weights */
    CLMOE__ROUTED_SCALE, /* of the routed sum */
    CLMOE__SOFTCAP,
    CLMOE__SPARSEMIXER_EPS,
    CLMOE__LIMIT,
    CLMOE__SHARED_LIMIT,
    CLMOE__LIMITS, /* a list with a limit for each layer; null or 0 = none */
    CLMOE__SHARED_LIMITS,
    CLMOE__LIMIT_AFTER,
    CLMOE__ALPHA,
    CLMOE__SHARED_ALPHA,
    CLMOE__UP_OFFSET,
    CLMOE__SHARED_UP_OFFSET,
    CLMOE__N_GROUP,
    CLMOE__TOPK_GROUP,
    CLMOE__GROUP_SCORE, /* clmoe_group_score */
    CLMOE__ZERO_EXPERTS
} clmoe__setting_kind;

typedef struct clmoe__setting {
    clmoe__setting_kind kind;
    const char *key;  /* NULL: no key, always the default */
    double value;     /* the default */
    const char *text; /* for words */
    const char *when; /* only where this rule was chosen; NULL: always */
    int zero_is_null; /* of numbers: 0 in the file means what null does */
    int required;     /* of words: there is no default */
} clmoe__setting;

/* ------------------------------------------------------------------------------------------------ tensors */

typedef enum clmoe__storage {
    CLMOE__ONE_EACH, /* a tensor for each expert, or the one of shared experts: [out, in] */
    CLMOE__FUSED,    /* [E, out, in], or [E, in, out] */
    CLMOE__STACKED,  /* [E * out, in], or [E * in, out] */
    CLMOE__MXFP4     /* NAME_blocks u8 [E, out, in / 32, 16] and NAME_scales u8 [E, out, in / 32] */
} clmoe__storage;

/* How a set of experts lies in the files. Not gated: gate is NULL, gate_up SEPARATE. */
typedef struct clmoe__form {
    const char *gate, *up, *down, *gate_bias, *up_bias, *down_bias;
    const char *gate_scale, *up_scale, *down_scale; /* a factor on the product for each expert; where they are there */
    clmoe__storage storage;
    uint8_t gate_up;                /* clmoe_gate_up */
    uint8_t up_layout, down_layout; /* clmoe_layout */
} clmoe__form;

#define CLMOE__FORMS 4

struct clmoe__family {
    const char *types[6];                       /* model_types */
    const char *preset;                         /* of clmoe_routing_preset */
    const char *layers;                         /* key: number of layers; NULL: num_hidden_layers */
    const char *hidden;                         /* key of H; NULL: hidden_size */
    const char *experts, *top_k, *intermediate; /* keys of E, K, I */
    uint8_t per_layer;        /* 1: E and K may be lists, one entry a layer; 2: I too */
    uint8_t may_lack_experts; /* 1: E = 0 says that no layer is MoE; 2: so does its absence */
    const char *has_experts;  /* a flag without which no layer is MoE; NULL: none is asked for */
    uint8_t ungated;
    uint8_t router_input;     /* the router has an input of its own */
    uint8_t optional_bias;    /* select_bias need not be there (GGUF) */
    uint8_t optional_shared;  /* nor need the shared experts, S or not (GGUF) */
    const char *extra_layers; /* key: how many of the layers, at the end, are no part of the forward pass */
    /* S: the key shared_all where it is there; else count * size; a NULL count is 1, a NULL size is I. Both NULL: no
     * shared experts. */
    const char *shared_all, *shared_count, *shared_size;
    uint32_t shared_default; /* of the count, or of the size where that stands alone */
    const char *latent;      /* key of L; absent or null: none */
    clmoe__layers_rule rule;
    clmoe__setting settings[16];

    const char *prefixes[5]; /* the first with a router counts; none: clmoe__prefixes */
    const char *router, *router_bias, *select_bias, *expert_scale, *output_bias, *shared_gate, *latent_in, *latent_out;
    const clmoe__form *forms[CLMOE__FORMS], *shared[CLMOE__FORMS]; /* the first that is there counts */
};

/* Of text models and of the text part of multimodal ones. */
extern const char *const clmoe__prefixes[];

/* NULL if there is none. A trailing "_text" may be left out or added. */
const clmoe__family *clmoe__family_find(const char *model_type);
/* The same for the architecture that a GGUF file names, and the i-th of them, NULL past the last. (families_gguf.c) */
const clmoe__family *clmoe__gguf_family_find(const char *architecture);
const char *clmoe__gguf_architecture(uint32_t i);

#endif
