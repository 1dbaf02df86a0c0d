/* CLBlast's SGEMM as a linear layer; see clblast_linear.h. Calls CLBlast. */
#include "clblast_linear.h"

#include <clblast_c.h>

int clblast_linear_enqueue(const clblast_linear *linear, cl_command_queue queue) {
    return CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, linear->rows, linear->out,
                        linear->in, 1.0f, linear->x, linear->x_offset, linear->in, linear->w, 0, linear->in, 0.0f,
                        linear->y, 0, linear->out, &queue, NULL);
}

int clblast_linear_temporary(const clblast_linear *linear, cl_command_queue queue, size_t *bytes) {
    return CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, linear->rows,
                                      linear->out, linear->in, linear->x_offset, linear->in, 0, linear->in, 0,
                                      linear->out, &queue, bytes);
}
