/* From the speed of one layer to the days and the price of a whole model's tokens. Only the layers with experts are
 * counted: what attention, embedding and transport take comes on top. Devices share the tokens, so they do as many
 * times as much. */
#ifndef CLMOE_BENCH_COST_H
#define CLMOE_BENCH_COST_H

#include <stdint.h>

#define COST_TOKENS 1e12 /* what the price is of */

typedef struct cost_question {
    double layer_tokens_per_s; /* of one layer on one device */
    uint32_t layers, devices;
    double price_per_hour; /* of one device */
} cost_question;

typedef struct cost_answer {
    double tokens_per_s, tokens_per_day; /* of the model on all devices */
    double device_hours, days, price;    /* of COST_TOKENS */
    double price_per_million_tokens;
} cost_answer;

cost_answer cost_of(const cost_question *question);

#endif
