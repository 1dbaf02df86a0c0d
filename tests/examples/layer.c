/* The README's program: a Mixture-of-Experts layer from host arrays, in fifteen lines. */
#include <clmoe/clmoe.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    enum { H = 64, I = 96, E = 8, K = 2, T = 5 };
    static float router[E * H], gate[E * I * H], up[E * I * H], down[E * H * I], x[T * H], y[T * H];
    for (int i = 0; i < E * I * H; i++) gate[i] = up[i] = down[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int i = 0; i < E * H; i++) router[i] = gate[i], x[i % (T * H)] = up[i];

    clmoe_context *context;
    clmoe_weights *weights;
    clmoe_layer *layer;
    clmoe_error error = {0};
    clmoe_weights_desc w;
    clmoe_layer_desc d;
    clmoe_weights_desc_default(&w, sizeof w);
    clmoe_layer_desc_default(&d, sizeof d);
    w.hidden_size = H, w.experts.num_experts = E, w.experts.intermediate_size = I, w.num_classes = E;
    w.router.host = router, w.experts.gate.host = gate, w.experts.up.host = up, w.experts.down.host = down;
    w.router.format = w.experts.gate.format = w.experts.up.format = w.experts.down.format = CLMOE_F32;
    d.routing.num_experts = E, d.routing.top_k = K;
    clmoe_routing_preset(&d.routing, "mixtral", NULL);
    if (clmoe_context_create(NULL, &context, &error) || clmoe_weights_create(context, &w, &weights, &error) ||
        clmoe_layer_create(context, weights, &d, &layer, &error) || clmoe_forward_host(layer, x, T, y, &error))
        return fprintf(stderr, "%s: %s\n", clmoe_status_name(error.status), error.message), 1;
    printf("y[0][0] = %g\n", (double)y[0]);
    clmoe_layer_destroy(layer), clmoe_weights_destroy(weights), clmoe_context_destroy(context);
    return 0;
}
