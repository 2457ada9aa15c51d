#!/usr/bin/env python3
"""What PyTorch's kernels take on the GPU at hand, at the shapes that `zhgpt selftest --device cuda --json` times.

Reads that JSON, and for attention (cuDNN's and flash, forward and backward), dense products, layernorm and AdamW times
torch's counterpart in bfloat16 the same way: by events, caches emptied before, the median of nine. Also the time from one
node of a CUDA graph to the next, and of a copy from device to device. Prints one JSON object.

  bench/torch_kernels.py selftest.json
"""

import json
import re
import statistics
import sys

import torch
from torch.nn import functional as F

DEVICE = "cuda"


def micros(work):
    """Median time of `work` on the device."""
    flush = torch.empty(256 << 20, dtype=torch.uint8, device=DEVICE)
    for _ in range(3):
        work()
    times = []
    for _ in range(9):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        flush.zero_()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(1e3 * start.elapsed_time(end))
    return statistics.median(times)


def random(*shape, grad=False):
    return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16).requires_grad_(grad)


def attention(B, T, NH, HS, backward):
    """Time by backend; torch wants (B, NH, T, HS)."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    result = {}
    for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        q, k, v = (random(B, NH, T, HS, grad=backward) for _ in range(3))
        try:
            with sdpa_kernel(backend):
                forward = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)  # noqa: E731
                out = forward()
                dout = torch.randn_like(out)
                work = (lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True)) if backward else forward
                result[name] = round(micros(work), 2)
        except RuntimeError as error:
            result[name + "_error"] = str(error).splitlines()[0][:200]
    return result


def adamw(P):
    parameter = torch.nn.Parameter(torch.randn(P, device=DEVICE))
    parameter.grad = torch.randn_like(parameter)
    optimizer = torch.optim.AdamW([parameter], fused=True)
    return {"torch fused": round(micros(optimizer.step), 2)}


def layernorm(N, C):
    layer, x = torch.nn.LayerNorm(C, device=DEVICE, dtype=torch.bfloat16), random(N, C)
    with torch.no_grad():
        return {"torch": round(micros(lambda: layer(x)), 2)}


def product(name, N, C, OC):
    a, weight, d = random(N, C), random(OC, C), random(N, OC)
    work = {"LinearForward": lambda: a @ weight.t(), "LinearBackwardInput": lambda: d @ weight,
            "LinearBackwardWeight": lambda: d.t() @ a}[name]
    return {"torch": round(micros(work), 2)}


def counterpart(line):
    sizes = [int(number) for number in re.findall(r"\d+", line["shape"])]
    name = line["name"].split(",")[0]
    if name in ("AttentionForward", "AttentionBackward"):
        return attention(*sizes, backward=name == "AttentionBackward")
    if name == "AdamW":
        return adamw(*sizes)
    if name == "LayerNormForward":
        return layernorm(*sizes)
    if name.startswith("Linear"):
        return product(name, *sizes)
    return {}


def graph_node_us():
    """From one small kernel of a graph to the next."""
    nodes, x = 200, torch.zeros(1, device=DEVICE)
    x.add_(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(nodes):
            x.add_(1)
    return micros(graph.replay) / nodes


def main():
    with open(sys.argv[1]) as file:
        lines = json.load(file)["lines"]
    rows = []
    for line in lines:
        if line["dtype"] != "bf16" or not line["us"]:
            continue
        peers = counterpart(line)
        if peers:
            rows.append({"name": line["name"], "shape": line["shape"], "ours_us": round(line["us"], 2), **peers})
    source = torch.empty(1 << 29, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name(),
                      "graph_node_us": round(graph_node_us(), 3),
                      "copy_gb_per_s": round(2 * source.numel() / micros(lambda: target.copy_(source)) / 1e3, 1),
                      "kernels": rows}))


main()
