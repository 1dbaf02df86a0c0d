/* The bench's arithmetic of costs. */
#include <math.h>

#include "serve/cost.h"
#include "support.h"

static void near(double value, double wanted) { assert_true(fabs(value - wanted) <= 1e-9 * fabs(wanted)); }

/* 10 layers of 1e6 tokens/s: 1e5 tokens/s a device. */
static void by_hand(void **state) {
    (void)state;
    const cost_question one = {.layer_tokens_per_s = 1e6, .layers = 10, .devices = 1, .price_per_hour = 3.6};
    cost_answer a = cost_of(&one);
    near(a.tokens_per_s, 1e5);
    near(a.tokens_per_day, 8.64e9);
    near(a.device_hours, 1e12 / 1e5 / 3600);
    near(a.days, 1e12 / 8.64e9);
    near(a.price, 10000); /* 1e7 seconds of 0.001 each */
    near(a.price_per_million_tokens, 0.01);
}

/* More devices: sooner, at the same price. */
static void devices_share(void **state) {
    (void)state;
    const cost_question one = {.layer_tokens_per_s = 12345, .layers = 58, .devices = 1, .price_per_hour = 2.5};
    cost_question many = one;
    many.devices = 64;
    const cost_answer a = cost_of(&one), b = cost_of(&many);
    near(b.tokens_per_s, 64 * a.tokens_per_s);
    near(b.days, a.days / 64);
    near(b.device_hours, a.device_hours);
    near(b.price, a.price);
    near(b.device_hours, b.days * 24 * 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(devices_share)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
