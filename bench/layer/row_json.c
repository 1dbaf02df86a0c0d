/* Figures that rows have in common; see row_json.h. Calls json_report. */
#include "row_json.h"

#include <stdio.h>

#include "flops.h"

void put_times(json_t *object, const layer_result *row) {
    put_number(object, "median_ms", row->median_ms);
    put_number(object, "low_ms", row->low_ms);
    put_number(object, "high_ms", row->high_ms);
    put_number(object, "p95_ms", row->p95_ms);
    put_numbers(object, "samples_ms", row->samples_ms, row->sample_count);
    if (row->others_cpus >= 0)
        put_number(object, "others_cpus", row->others_cpus);
    else
        put_null(object, "others_cpus");
    put_number(object, "cpu_share", row->cpu_share);
    put_bool(object, "unsteady", row->unsteady);
}

void put_limits(json_t *object, const layer_result *row) {
    put_text(object, "peak", peak_name(row->peak));
    put_number(object, "peak_gflops", row->peak_gflops);
    put_number(object, "read_gbps", row->read_gbps);
    put_number(object, "roofline_ms", row->roofline_ms);
    put_number(object, "roofline_share", row->roofline_share);
    put_number(object, "roofline_tokens_per_s", 1e3 * (double)row->tokens / row->roofline_ms);
}

void put_flops(json_t *object, const model *m, uint32_t tokens) {
    const double count = (double)tokens;
    put_number(object, "flops_logits", flops_logits(m, count));
    put_number(object, "flops_select", flops_select(m, count));
    put_number(object, "flops_up", flops_up(m, count));
    put_number(object, "flops_activation", flops_activation(m, count));
    put_number(object, "flops_down", flops_down(m, count));
    put_number(object, "flops_shared", flops_shared(m, count));
    put_number(object, "flops_combine", flops_combine(m, count));
    put_number(object, "flops_forward", flops_forward(m, count));
    put_number(object, "flops_matrix", flops_matrix(m, count));
    put_number(object, "flops_gating_literature", flops_gating_literature(m, count));
    put_number(object, "flops_gating_exact", flops_gating_exact(m, count));
}

void put_method(json_t *environment) {
    put_text(
        environment, "method",
        "a forward is timed from the call to the end of clFinish, after warm-up forwards; every forward has other "
        "tokens; forwards "
        "go on until the 95% confidence interval of the median (low_ms, high_ms, by order statistics) is within 1% of "
        "it or the "
        "time budget is over; others_cpus is how many CPUs other processes kept busy meanwhile; unsteady says that "
        "they had "
        "more than a tenth of the machine, that p95 is beyond 1.4 medians, that this process had less than 0.85 of its "
        "CPUs, or "
        "that the share is above 1.02; read_gbps is the median of launches of the read probe among the forwards; "
        "gflops counts "
        "flops_matrix; roofline_ms is max(flops_matrix / peak, packed bytes of the experts hit / read_gbps)");
}

void print_gating(const model *m, uint32_t tokens) {
    printf("%s: gating of %u token%s is %.0f operations as literature counts (T H E + 3 T E + T E), exactly %.0f "
           "(logits %.0f, choice %.0f)\n",
           m->name, tokens, tokens == 1 ? "" : "s", flops_gating_literature(m, (double)tokens),
           flops_gating_exact(m, (double)tokens), flops_logits(m, (double)tokens), flops_select(m, (double)tokens));
}

void print_unsteady_note(size_t unsteady, size_t count) {
    if (unsteady == 0) return;
    printf("~ %zu of %zu rows are unsteady (others had more than a tenth of the CPUs, p95 beyond 1.4 medians, less "
           "than 0.85 of "
           "the CPU time, or a share above 1.02): other work shares this machine, run again\n",
           unsteady, count);
}
