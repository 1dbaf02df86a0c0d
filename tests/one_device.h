/* The device of programs whose tests all run on the same one: opened before a group of tests, closed behind it. */
#ifndef CLMOE_TESTS_ONE_DEVICE_H
#define CLMOE_TESTS_ONE_DEVICE_H

#include "support.h"

extern test_device device;

/* What cmocka_run_group_tests takes. */
int open_device(void **state);
int close_device(void **state);

#endif
