/* The arithmetic of costs; see cost.h. Calls nothing. */
#include "cost.h"

cost_answer cost_of(const cost_question *q) {
    cost_answer a;
    const double device_rate = q->layer_tokens_per_s / (double)q->layers;
    a.tokens_per_s = device_rate * (double)q->devices;
    a.tokens_per_day = a.tokens_per_s * 86400;
    a.device_hours = COST_TOKENS / device_rate / 3600;
    a.days = COST_TOKENS / a.tokens_per_day;
    a.price = a.device_hours * q->price_per_hour;
    a.price_per_million_tokens = a.price / (COST_TOKENS / 1e6);
    return a;
}
