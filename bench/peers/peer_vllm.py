"""vLLM's operators for CPUs as a peer, loaded from its wheel without the engine around them.

f32, bf16                            cpu_fused_moe, its own grouped GEMM ("vec", what it takes without AMX)
bf16_sgl int8_sgl int4_sgl mxfp4_sgl fused_experts_cpu, the kernels it has from SGLang. vLLM asks for AMX before it
                                     takes them; they run on AVX-512 too, as the error beside every figure proves
"""
import os

import torch

FORMATS = ["f32", "bf16", "bf16_sgl", "int8_sgl", "int4_sgl", "mxfp4_sgl"]
METHODS = {"bf16_sgl": 0, "int8_sgl": 1, "int4_sgl": 3, "mxfp4_sgl": 4}  # numbers of fused_experts_cpu
GPTQ = 1                                                                 # a layout of convert_weight_packed_scale_zp
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def to_int8(w):
    """One scale a row: int8 [E, N, K], scales [E, N]."""
    scale = w.abs().amax(-1) / 127
    return torch.round(w / scale.unsqueeze(-1)).to(torch.int8), scale


def to_mxfp4(w):
    """32 values to a power of two: bytes of two values [E, N, K / 2], exponents + 127 [E, N, K / 32]."""
    blocks = w.unflatten(-1, (-1, 32))
    exponent = torch.floor(torch.log2(blocks.abs().amax(-1))) - 2
    scaled = blocks / torch.exp2(exponent).unsqueeze(-1)
    code = torch.bucketize(scaled.abs(), (E2M1[1:] + E2M1[:-1]) / 2) + 8 * (scaled < 0)
    code = code.flatten(-2).to(torch.uint8)
    return code[..., 0::2] | (code[..., 1::2] << 4), (exponent + 127).to(torch.uint8)


def to_gptq(w, group=128):
    """One scale for 128 values, as GPTQ stores them: int32 of eight [E, K / 8, N], bf16 scales [E, K / 128, N]."""
    blocks = w.unflatten(-1, (-1, group))
    scale = blocks.abs().amax(-1) / 7
    code = (torch.round(blocks / scale.unsqueeze(-1)).clamp(-8, 7) + 8).flatten(-2).to(torch.int64)
    word = (code.unflatten(-1, (-1, 8)) << (4 * torch.arange(8))).sum(-1)
    word = torch.where(word < 2**31, word, word - 2**32).to(torch.int32)
    return word.transpose(1, 2).contiguous(), scale.to(torch.bfloat16).transpose(1, 2).contiguous()


class Layer:
    def __init__(self, folder, shape, weights_format, threads, gate, up, down):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        torch.ops.load_library(os.path.join(folder, "vllm", "vllm", "_C.abi3.so"))
        self.ops, self.format, self.experts = torch.ops._C, weights_format, shape.experts
        self.type = torch.float32 if weights_format == "f32" else torch.bfloat16
        gate, up, down = map(torch.from_numpy, (gate, up, down))
        self.packed = self.pack(torch.cat([gate, up], 1)), self.pack(down)
        self.kernel = "fused_experts_cpu" if weights_format in METHODS else "cpu_fused_moe vec"

    def every(self, given):
        """Expert e is given[e % len(given)]."""
        return given[torch.arange(self.experts) % len(given)].contiguous()

    def pack(self, w):
        """(weights, scales, zero points) of all experts as the kernel wants them; w [given, N, K] in float32."""
        if self.format in ("f32", "bf16"):
            source = self.every(w.to(self.type))
            packed = torch.empty_like(source)
            self.ops.prepack_moe_weight(source, packed, "vec")
            return packed, None, None
        if self.format == "bf16_sgl":
            return self.ops.convert_weight_packed(self.every(w.to(self.type))), None, None
        if self.format == "int4_sgl":
            word, scale = map(self.every, to_gptq(w))
            zero = torch.full((self.experts, scale.shape[1], scale.shape[2] // 8), 0x77777777, dtype=torch.int32)
            packed, zero, scale = self.ops.convert_weight_packed_scale_zp(word, zero, scale, GPTQ)
            return packed, scale, zero
        code, scale = map(self.every, to_int8(w) if self.format == "int8_sgl" else to_mxfp4(w))
        if self.format == "mxfp4_sgl":
            scale = self.ops.convert_scale_packed(scale)
        return self.ops.convert_weight_packed(code), scale, None

    def prepare(self, x, weights):
        """Tokens x [T, H] and their weights [T, K], float32, for the forwards that follow."""
        self.x, self.weights = torch.from_numpy(x).to(self.type), torch.from_numpy(weights)
        self.out = torch.empty_like(self.x)

    def routes(self, index):
        """Routes index [T, K], int32, as forward takes them."""
        return torch.from_numpy(index.copy())

    def forward(self, routes):
        (up, up_scale, up_zero), (down, down_scale, down_zero) = self.packed
        if self.format in METHODS:
            self.ops.fused_experts_cpu(self.out, self.x, up, down, self.weights, routes, METHODS[self.format], up_scale,
                                       down_scale, up_zero, down_zero, None, None, None, None, None, None, True)
        else:
            self.ops.cpu_fused_moe(self.out, self.x, up, down, None, None, self.weights, routes, False, "silu", "vec")

    def result(self):
        return self.out.float().numpy()
