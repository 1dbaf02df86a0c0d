/* See gguf_hostile.h. Calls the model library through its public interface. */
#include "gguf_hostile.h"

#include "support.h"

/* Opens a model and describes each of its layers; what went wrong, if anything. */
static clmoe_status open_all(const char *path, clmoe_error *error) {
    clmoe_model *model = NULL;
    clmoe_status status = clmoe_model_open(path, &model, error);
    if (status != CLMOE_OK) {
        assert_null(model);
        return status;
    }
    clmoe_model_info info = {.struct_size = sizeof info};
    (void)clmoe_model_get_info(model, &info, NULL);
    for (uint32_t i = 0; i < info.num_moe_layers && status == CLMOE_OK; i++) {
        clmoe_model_layer layer = {.struct_size = sizeof layer};
        status = clmoe_model_get_layer(model, info.moe_layers[i], &layer, error);
    }
    clmoe_model_destroy(model);
    return status;
}

void gguf_refused_cut(gguf_file f, size_t keep, const char *what, const char *more) {
    test_folder folder = test_folder_new();
    clmoe_error error = {.struct_size = sizeof error};
    gguf_bytes image = gguf_image(&f);
    const char *path = test_file(&folder, GGUF_NAME, image.at, keep != 0 ? keep : image.count);
    test_refused(open_all(path, &error), &error, GGUF_NAME, what, more);
    free(image.at);
    gguf_free(&f);
    test_folder_free(&folder);
}

void gguf_refused(gguf_file f, const char *what, const char *more) { gguf_refused_cut(f, 0, what, more); }

void gguf_accepted(gguf_file f) {
    test_folder folder = test_folder_new();
    clmoe_error error = {.struct_size = sizeof error};
    OK(open_all(gguf_write(&f, &folder, GGUF_NAME), &error));
    gguf_free(&f);
    test_folder_free(&folder);
}
