/* The smallest program that links the model library; compiled as C and as C++. */
#include <clmoe/clmoe_model.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    clmoe_model *model;
    clmoe_error error;
    memset(&error, 0, sizeof error);
    const clmoe_status status = clmoe_model_open("no such folder", &model, &error);
    clmoe_model_destroy(model);
    printf("clmoe %s knows %s; %s\n", clmoe_version_string(), clmoe_model_type_name(0), error.message);
    return status == CLMOE_INVALID_FILE ? 0 : 1;
}
