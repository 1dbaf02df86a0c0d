/* One matrix packed in a chosen way and compared, bit by bit, with what the definitions of panels (cl/panel.clh) and
 * formats say of every element, padding included. */
#ifndef CLMOE_TESTS_PACK_TRIAL_H
#define CLMOE_TESTS_PACK_TRIAL_H

#include "pack_sources.h"

/* The ways: by any strides, by rows, or what the library chooses. */
enum pack_way { PACK_ANY, PACK_ROWS, PACK_CHOSEN };

/* Packs and compares; fails the test at the first wrong element. Returns 0 if this way does not fit the trial.
 *
 * An element is moved where source and panel have one format. Else it is decoded to f32, multiplied by its scale in
 * f32, and rounded to the panel's format, both to nearest even. A subnormal product is kept where the device says that
 * it has subnormals (CL_FP_DENORM; POCL on x86 does) and wherever the scale is E8M0; elsewhere it, and a product with a
 * subnormal scale, may also be a zero of the same sign. Any NaN equals any other. *subnormals, unless NULL, grows by
 * the number of subnormal products. */
int pack_trial_run(test_device *device, const pack_trial *trial, enum pack_way way, uint64_t *subnormals);

#endif
