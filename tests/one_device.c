/* See one_device.h. */
#include "one_device.h"

test_device device;

int open_device(void **state) {
    (void)state;
    device = test_open(NULL);
    return 0;
}

int close_device(void **state) {
    (void)state;
    test_close(&device);
    return 0;
}
