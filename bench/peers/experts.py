"""experts.py PEER FORMAT: times the experts and the weighted sum of a layer in another library, one JSON line for each
number of tokens. The routes are given, so the peer does less than clmoe, which routes too.

Each forward has other routes (16 sets take turns), so that a single token does not find its experts in the cache.
Warm-up: two forwards. Then forwards until --seconds are over, three at least; median_ms is their median. nmse is the
normalised mean squared error of the first tokens against the layer in double precision on the unrounded weights: a
figure comes with the proof that it was computed, and with what its format costs.
"""
import argparse
import importlib
import json
import os
import time
from types import SimpleNamespace

import numpy as np

MODELS = {  # hidden, inter, experts, top_k
    "olmoe": (2048, 1024, 64, 8),
    "qwen3-30b-a3b": (2048, 768, 128, 8),
    "gpt-oss-20b": (2880, 2880, 32, 4),
    "small": (1024, 4096, 8, 2),
}
ROUTE_SETS = 16
DISTINCT = 3  # experts of their own values; the others repeat them elsewhere in memory: as slow to read, sooner made
CHECKED = 4  # tokens


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", choices=["vllm", "ggml"])
    p.add_argument("format", help="of the weights, a word of FORMATS in peer_PEER.py")
    p.add_argument("--folder", required=True, help="what setup.sh made")
    p.add_argument("--model", choices=MODELS, default="olmoe")
    p.add_argument("--tokens", type=lambda text: [int(t) for t in text.split(",")], default=[1, 16, 64, 512])
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: as many as processors")
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def make_weights(shape, rng):
    """gate, up [DISTINCT, I, H], down [DISTINCT, H, I], of a size that keeps activations near 1."""
    given = min(DISTINCT, shape.experts)
    sizes = [(shape.inter, shape.hidden), (shape.inter, shape.hidden), (shape.hidden, shape.inter)]
    return [rng.standard_normal((given, n, k), dtype=np.float32) * np.float32(2 / k**0.5) for n, k in sizes]


def reference(x, index, weights, gate, up, down):
    """The layer by its definition, in double precision."""
    out = np.zeros(x.shape)
    for t, k in np.ndindex(index.shape):
        e = index[t, k] % len(gate)
        a = gate[e].astype(np.float64) @ x[t]
        h = a / (1 + np.exp(-a)) * (up[e].astype(np.float64) @ x[t])
        out[t] += weights[t, k] * (down[e].astype(np.float64) @ h)
    return out


def time_forwards(layer, routes, seconds):
    """Milliseconds of forwards."""
    for i in range(2):
        layer.forward(routes[i])
    samples, end = [], time.perf_counter() + seconds
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        layer.forward(routes[len(samples) % ROUTE_SETS])
        samples.append(1e3 * (time.perf_counter() - start))
    return samples


def main():
    a = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", str(a.threads))  # before the peer is loaded
    shape = SimpleNamespace(**dict(zip(("hidden", "inter", "experts", "top_k"), MODELS[a.model])))
    rng = np.random.default_rng(a.seed)
    made = make_weights(shape, rng)
    layer = importlib.import_module("peer_" + a.peer).Layer(a.folder, shape, a.format, a.threads, *made)
    for tokens in a.tokens:
        x = rng.standard_normal((tokens, shape.hidden), dtype=np.float32)
        weights = np.full((tokens, shape.top_k), 1 / shape.top_k, np.float32)
        index = rng.random((ROUTE_SETS, tokens, shape.experts)).argsort(-1)[..., : shape.top_k].astype(np.int32)
        layer.prepare(x, weights)
        routes = [layer.routes(i) for i in index]
        layer.forward(routes[0])
        some = min(CHECKED, tokens)
        wanted = reference(x[:some].astype(np.float64), index[0, :some], weights, *made)
        nmse = float(((layer.result()[:some] - wanted) ** 2).sum() / (wanted**2).sum())
        if not nmse < 0.1:  # four bits cost about 0.02; a wrong route or layout costs 1 and more
            raise SystemExit(f"{a.peer} {a.format} computes something else: normalised mean squared error {nmse:.3g}")
        samples = time_forwards(layer, routes, a.seconds)
        print(json.dumps({"peer": a.peer, "weights": a.format, "model": a.model, "tokens": tokens, "threads": a.threads,
                          "median_ms": round(float(np.median(samples)), 4), "min_ms": round(min(samples), 4),
                          "samples": len(samples), "nmse": float(f"{nmse:.3g}"), "kernel": layer.kernel}), flush=True)


main()
