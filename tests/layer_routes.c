/* See layer_routes.h. The layer does not show its logits, so a logits stage with the same router computes them again:
 * they are held against the double-precision ones, and the routes against the rule on them. */
#include "layer_routes.h"

#include <math.h>

#include "oracle_select.h"

static float *floats(const double *values, size_t count) {
    if (values == NULL) return NULL;
    float *copy = malloc(count * sizeof *copy + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < count; i++) copy[i] = (float)values[i];
    return copy;
}

static float *device_logits(const layer_case *c, const void *x, uint32_t tokens) {
    test_device *device = c->device;
    clmoe_error error = {.struct_size = sizeof error};
    const size_t classes = c->oracle.classes, H = c->options.hidden;
    float *router = floats(c->oracle.router, classes * H), *bias = floats(c->oracle.router_bias, classes);
    clmoe_logits_desc d;
    clmoe_logits_desc_default(&d, sizeof d);
    d.hidden_size = c->options.hidden;
    d.num_classes = c->oracle.classes;
    d.x_format = c->options.layer.x_format;
    d.router = (clmoe_tensor){.format = CLMOE_F32, .host = router};
    if (bias != NULL) d.bias = (clmoe_tensor){.format = CLMOE_F32, .host = bias};
    clmoe_logits *stage = NULL;
    OK(clmoe_logits_create(device->context, &d, &stage, &error));
    free(router);
    free(bias);
    float *logits = malloc(tokens * classes * sizeof *logits + 1);
    test_buffer in = test_buffer_new(device, tokens * H * test_format_bytes(d.x_format), x);
    test_buffer out = test_buffer_new(device, tokens * classes * 4, NULL);
    clmoe_logits_io io;
    clmoe_logits_io_default(&io, sizeof io);
    io.tokens = tokens;
    io.x = in.at;
    io.logits = out.at;
    OK(clmoe_logits_enqueue(stage, NULL, device->queue, &io, 0, NULL, NULL, &error));
    test_buffer_read(device, &out, logits);
    test_buffer_free(device, &in);
    test_buffer_free(device, &out);
    clmoe_logits_destroy(stage);
    return logits;
}

static void check_logits(const layer_case *c, const void *x, uint32_t tokens, const float *logits) {
    const size_t classes = c->oracle.classes, H = c->options.hidden, n = tokens * classes;
    double *values = calloc(tokens * H + 2 * n + 1, sizeof *values), *wanted = values + tokens * H,
           *magnitude = wanted + n;
    for (size_t i = 0; i < tokens * H; i++) values[i] = test_load(x, c->options.layer.x_format, i);
    oracle_logits(&c->oracle, values, tokens, wanted, magnitude);
    for (size_t i = 0; i < n; i++) {
        const double allowed = oracle_tolerance(wanted[i], magnitude[i], c->options.hidden, 0, CLMOE_F32);
        if (!(fabs((double)logits[i] - wanted[i]) <= allowed)) {
            fail_msg("logits[%zu][%zu] is %.9g, the oracle says %.9g", i / classes, i % classes, (double)logits[i],
                     wanted[i]);
        }
    }
    free(values);
}

void case_check_routes(const layer_case *c, const void *x, uint32_t tokens, const case_result *r) {
    const clmoe_routing *rule = &c->options.layer.routing;
    const uint32_t classes = c->oracle.classes, slots = c->oracle.slots;
    float *logits = device_logits(c, x, tokens);
    float *bias = floats(c->select_bias, classes), *scale = floats(c->expert_scale, classes);
    char why[512] = "";
    check_logits(c, x, tokens, logits);
    if (rule->method == CLMOE_EXPERT_CHOICE) {
        if (oracle_expert_choice(rule, logits, tokens, scale, r->index, r->weight, why, sizeof why) == ORACLE_WRONG) {
            fail_msg("expert choice: %s", why);
        }
    } else {
        for (uint32_t t = 0; t < tokens; t++) {
            const size_t at = (size_t)t * slots;
            if (oracle_select_token(rule, logits + (size_t)t * classes, bias, scale, r->index + at, r->weight + at, why,
                                    sizeof why) == ORACLE_WRONG) {
                fail_msg("routes of token %u: %s", t, why);
            }
        }
    }
    free(logits);
    free(bias);
    free(scale);
}
