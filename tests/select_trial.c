/* Trials of the select stage; see select_trial.h. May call the public API, OpenCL and CMocka. */
#include "select_trial.h"

#include <stdio.h>

clmoe_routing trial_rule(uint32_t experts, uint32_t top_k) {
    clmoe_routing rule;
    clmoe_routing_default(&rule, sizeof rule);
    rule.num_experts = experts;
    rule.top_k = top_k;
    return rule;
}

static float *random_floats(test_random *random, size_t count, double spread) {
    float *values = malloc(count * sizeof *values + 1);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)(spread * test_random_normal(random));
    return values;
}

trial trial_new(const clmoe_routing *rule, uint32_t tokens, uint64_t stream) {
    test_random random = test_random_new(stream);
    trial t = {.rule = *rule, .tokens = tokens, .valid = -1};
    t.classes = clmoe_routing_classes(rule);
    t.slots = clmoe_routing_slots(rule);
    t.logits = random_floats(&random, (size_t)tokens * t.classes, 2);
    t.index = malloc((size_t)tokens * t.slots * sizeof *t.index + 1);
    t.weight = malloc((size_t)tokens * t.slots * sizeof *t.weight + 1);
    assert_true(t.index != NULL && t.weight != NULL);
    return t;
}

void trial_free(trial *t) {
    free(t->logits);
    free(t->bias);
    free(t->expert_scale);
    free(t->index);
    free(t->weight);
    *t = (trial){0};
}

clmoe_select *trial_create(test_device *device, const trial *t) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_select_desc desc;
    clmoe_select_desc_default(&desc, sizeof desc);
    desc.routing = t->rule;
    if (t->bias != NULL) desc.select_bias = (clmoe_tensor){.format = CLMOE_F32, .host = t->bias};
    if (t->expert_scale != NULL) desc.expert_scale = (clmoe_tensor){.format = CLMOE_F32, .host = t->expert_scale};
    clmoe_select *select = NULL;
    OK(clmoe_select_create(device->context, &desc, &select, &error));
    return select;
}

void trial_run(test_device *device, trial *t) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_select *select = trial_create(device, t);
    const size_t pairs = (size_t)t->tokens * t->slots;
    test_buffer logits = test_buffer_new(device, (size_t)t->tokens * t->classes * 4, t->logits);
    test_buffer index = test_buffer_new(device, pairs * 4, NULL), weight = test_buffer_new(device, pairs * 4, NULL);
    test_buffer count = test_buffer_new(device, 4, &t->valid);
    clmoe_select_io io;
    clmoe_select_io_default(&io, sizeof io);
    io.tokens = t->tokens;
    io.logits = logits.at;
    io.index = index.at;
    io.weight = weight.at;
    if (t->valid != -1) io.token_count = count.at;
    cl_event done = NULL;
    OK(clmoe_select_enqueue(select, NULL, device->queue, &io, 0, NULL, &done, &error));
    clmoe_select_destroy(select);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(done), CL_SUCCESS);
    test_buffer_read(device, &index, t->index);
    test_buffer_read(device, &weight, t->weight);
    test_buffer_free(device, &logits);
    test_buffer_free(device, &index);
    test_buffer_free(device, &weight);
    test_buffer_free(device, &count);
}

void trial_judge(const trial *t, uint32_t tokens, const char *what) {
    char why[200] = "";
    uint32_t undecided = 0;
    for (uint32_t i = 0; i < tokens; i++) {
        const oracle_verdict verdict =
            oracle_select_token(&t->rule, t->logits + (size_t)i * t->classes, t->bias, t->expert_scale,
                                t->index + (size_t)i * t->slots, t->weight + (size_t)i * t->slots, why, sizeof why);
        if (verdict == ORACLE_WRONG) {
            fail_msg("%s, E = %u, K = %u, token %u of %u: %s", what, t->rule.num_experts, t->rule.top_k, i, t->tokens,
                     why);
        }
        undecided += verdict == ORACLE_UNDECIDED;
    }
    if (undecided > 1 + tokens / 10) fail_msg("%s: %u of %u tokens undecided", what, undecided, tokens);
}

void trial_pass(test_device *device, trial *t, const char *what) {
    trial_run(device, t);
    trial_judge(t, t->tokens, what);
    trial_free(t);
}

void trial_add_bias(trial *t, uint64_t stream) {
    test_random random = test_random_new(stream);
    t->bias = random_floats(&random, t->classes, 0.3);
}

void trial_add_scale(trial *t, uint64_t stream) {
    test_random random = test_random_new(stream);
    t->expert_scale = random_floats(&random, t->classes, 1);
}
