"""ggml (the library of llama.cpp) as a peer: its experts through libggml_layer.so (ggml_layer.c)."""
import ctypes
import os

import numpy as np

FORMATS = ["f32", "bf16", "q8_0", "q4_0", "q4_K", "mxfp4"]


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class Layer:
    def __init__(self, folder, shape, weights_format, threads, gate, up, down):
        lib = self.lib = ctypes.CDLL(os.path.join(folder, "libggml_layer.so"))
        lib.layer_open.restype = ctypes.c_void_p
        sizes = [ctypes.c_int64] * 4 + [ctypes.c_int, ctypes.c_int64]
        lib.layer_open.argtypes = [ctypes.c_char_p, *sizes, *[ctypes.c_void_p] * 3]
        lib.layer_buffer.restype = ctypes.c_char_p
        lib.layer_buffer.argtypes = [ctypes.c_void_p]
        lib.layer_plan.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        lib.layer_run.argtypes = [ctypes.c_void_p] * 4
        lib.layer_result.argtypes = [ctypes.c_void_p] * 2
        self.layer = lib.layer_open(weights_format.encode(), shape.hidden, shape.inter, shape.experts, shape.top_k,
                                    threads, len(gate), pointer(gate), pointer(up), pointer(down))
        if not self.layer:
            raise ValueError(f"ggml has no layer of this shape with weights in {weights_format}")
        self.kernel = lib.layer_buffer(self.layer).decode()

    def prepare(self, x, weights):
        """Tokens x [T, H] and their weights [T, K], float32, for the forwards that follow."""
        self.x, self.weights = x, weights
        if self.lib.layer_plan(self.layer, len(x), weights.shape[1]) != 0:
            raise MemoryError("ggml has no memory for its graph")

    def routes(self, index):
        """Routes index [T, K], int32, as forward takes them."""
        return np.ascontiguousarray(index)

    def forward(self, routes):
        if self.lib.layer_run(self.layer, pointer(self.x), pointer(routes), pointer(self.weights)) != 0:
            raise RuntimeError("ggml could not compute the graph")

    def result(self):
        out = np.empty_like(self.x)
        self.lib.layer_result(self.layer, pointer(out))
        return out
