/* How evenly experts were used: statistics of the counts a forward writes to out_load. Host arithmetic only. */
#include <clmoe/clmoe.h>

#include <math.h>

#include "os/error.h"

clmoe_status clmoe_load_statistics(const int32_t *load, uint32_t num_experts, clmoe_load_stats *stats,
                                   clmoe_error *error) {
    REQUIRE(stats != NULL, error, "stats", "stats is NULL");
    REQUIRE(load != NULL, error, "load", "load is NULL");
    REQUIRE(num_experts >= 1, error, "num_experts", "num_experts is 0, expected 1 or more");
    clmoe_load_stats result = {.struct_size = sizeof result};
    int32_t most = 0;
    for (uint32_t e = 0; e < num_experts; ++e) {
        REQUIRE(load[e] >= 0, error, "load", "load[%u] is %d, expected 0 or more", e, (int)load[e]);
        result.total += (uint64_t)load[e];
        result.active_experts += load[e] > 0;
        if (load[e] > most) most = load[e];
    }
    result.idle_experts = num_experts - result.active_experts;
    if (result.total > 0) {
        const double total = (double)result.total;
        result.max_over_mean = (double)most * num_experts / total;
        for (uint32_t e = 0; e < num_experts; ++e) {
            const double p = (double)load[e] / total;
            if (load[e] > 0) result.entropy -= p * log(p);
        }
    }
    clmoe__give(stats, stats->struct_size == 0 ? sizeof *stats : stats->struct_size, &result, sizeof result);
    return CLMOE_OK;
}
