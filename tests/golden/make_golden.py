#!/usr/bin/env python3
"""Writes gpt2_tiny.json: what an independent GPT-2 (PyTorch, float64) computes, for our own to be judged by.

The model is zhgpt's: pre-LN, learned positions, biases everywhere, tanh GELU, LayerNorm eps 1e-5, tied head, no
dropout. Weights are (OC, C) row-major as in nn.Linear. Nothing is random: every number comes from `rule` below, which
any language repeats exactly in float32, so the file need not hold the parameters.

The reference numbers are float64 on one thread, and the float32 ones are there to show how far honest rounding goes.
Another torch or another machine may differ in the last digits (some 1e-14), no more.

  make_golden.py          write the file
  make_golden.py --check  compute again, compare with the file, and try gradients against finite differences
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from torch.nn import functional as F

L, NH, C, V, T, B = 2, 2, 16, 37, 9, 3
STEPS, BATCHES = 50, 4
ADAMW = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
MAX_NORM = 1.0
FILE = pathlib.Path(__file__).with_name("gpt2_tiny.json")

HASH_RULE = (
    "hash(name, i), all in uint32: h = 2166136261; for each byte c of name: h = (h ^ c) * 16777619; "
    "x = h ^ (i * 0x9E3779B9); x = (x ^ (x >> 16)) * 0x7FEB352D; x = (x ^ (x >> 15)) * 0x846CA68B; x = x ^ (x >> 16)"
)
PARAMETER_RULE = (
    "element i (row-major) of parameter `name` = offset + scale * u, u = ((hash(name, i) >> 16) - 32768) / 32768; "
    "two-dimensional: offset 0, scale 1/2; bias: offset 0, scale 1/4; weight of a layernorm: offset 1, scale 1/4; "
    "every value is exact in float32"
)
IDS_RULE = (
    "id i (row-major in (B, T)) of `name` = hash(name, i) % V; `inputs`, `targets` (then i % 7 == 5 becomes -1: padding), "
    "and `batch0.inputs`, `batch0.targets` ... `batch3.targets` for adamw (no padding); step s, from 0, takes batch s % 4"
)


def rule(name, i):
    """FNV-1a of the name, mixed with the index by C. Wellons' lowbias32."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    x = h ^ (i * 0x9E3779B9 & 0xFFFFFFFF)
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def shapes():
    table = {"wte.weight": (V, C), "wpe.weight": (T, C)}
    for i in range(L):
        layers = {"ln_1": (C,), "attn.c_attn": (3 * C, C), "attn.c_proj": (C, C),
                  "ln_2": (C,), "mlp.c_fc": (4 * C, C), "mlp.c_proj": (C, 4 * C)}
        for layer, shape in layers.items():
            table[f"h.{i}.{layer}.weight"] = shape
            table[f"h.{i}.{layer}.bias"] = shape[:1]
    table["ln_f.weight"] = table["ln_f.bias"] = (C,)
    return table


def make_parameter(name, shape, dtype):
    is_matrix, is_weight = len(shape) == 2, name.endswith(".weight")
    offset, scale = (0, 0.5) if is_matrix else (1, 0.25) if is_weight else (0, 0.25)
    values = [offset + scale * ((rule(name, i) >> 16) - 32768) / 32768 for i in range(math.prod(shape))]
    return torch.tensor(values, dtype=dtype).view(shape).requires_grad_()


def make_parameters(dtype):
    return {name: make_parameter(name, shape, dtype) for name, shape in shapes().items()}


def make_ids(name):
    return torch.tensor([rule(name, i) % V for i in range(B * T)]).view(B, T)


def padded_targets():
    targets = make_ids("targets").view(-1)
    targets[5::7] = -1
    return targets.view(B, T)


def forward(p, inputs):
    """Logits (B, T, V)."""
    x = p["wte.weight"][inputs] + p["wpe.weight"][:T]
    for i in range(L):
        linear = lambda a, name: F.linear(a, p[f"h.{i}.{name}.weight"], p[f"h.{i}.{name}.bias"])
        norm = lambda a, name: F.layer_norm(a, (C,), p[f"h.{i}.{name}.weight"], p[f"h.{i}.{name}.bias"], 1e-5)
        qkv = linear(norm(x, "ln_1"), "attn.c_attn").view(-1, T, 3, NH, C // NH)
        q, k, v = (qkv[:, :, j].transpose(1, 2) for j in range(3))  # each (B, NH, T, HS)
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // NH)
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        heads = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        x = x + linear(heads.transpose(1, 2).reshape(-1, T, C), "attn.c_proj")
        x = x + linear(F.gelu(linear(norm(x, "ln_2"), "mlp.c_fc"), approximate="tanh"), "mlp.c_proj")
    x = F.layer_norm(x, (C,), p["ln_f.weight"], p["ln_f.bias"], 1e-5)
    return x @ p["wte.weight"].T


def mean_loss(p, inputs, targets):
    return F.cross_entropy(forward(p, inputs).view(-1, V), targets.view(-1), ignore_index=-1)


def train(dtype):
    p = make_parameters(dtype)
    groups = [{"params": [t for t in p.values() if t.dim() >= 2]},
              {"params": [t for t in p.values() if t.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, foreach=False, **ADAMW)
    losses, norms = [], []
    for step in range(STEPS):
        batch = f"batch{step % BATCHES}"
        optimizer.zero_grad()
        loss = mean_loss(p, make_ids(batch + ".inputs"), make_ids(batch + ".targets"))
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), MAX_NORM).item())
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "grad_norm": norms}


def compute():
    p = make_parameters(torch.float64)
    inputs, targets = make_ids("inputs"), padded_targets()
    loss = mean_loss(p, inputs, targets)
    loss.backward()
    return {
        "made_by": f"tests/golden/make_golden.py, torch {torch.__version__}, float64 on a CPU, one thread, nothing random",
        "config": dict(n_layer=L, n_head=NH, n_embd=C, vocab_size=V, block_size=T, batch_size=B),
        "hash_rule": HASH_RULE,
        "parameter_rule": PARAMETER_RULE,
        "ids_rule": IDS_RULE,
        "parameter_samples": {name: t.detach().view(-1)[:4].tolist() for name, t in p.items()},
        "inputs": inputs.tolist(),
        "targets": targets.tolist(),
        "loss": loss.item(),
        "last_logits_of_row_0": forward(p, inputs)[0, -1].tolist(),
        "gradients": {name: t.grad.view(-1).tolist() for name, t in p.items()},
        "adamw": {
            "rule": "torch.optim.AdamW after clip_grad_norm_ (scale = min(1, max_norm / (norm + 1e-6))); weight decay on "
                    "two-dimensional parameters only; loss and norm of step s are those before its update and its clip",
            "steps": STEPS, "max_norm": MAX_NORM, **ADAMW,
            "float64": train(torch.float64),
            "float32": train(torch.float32),
        },
    }


def to_text(golden):
    """JSON with a line for each list of numbers, so that a change is a small diff."""
    def lines(value, indent):
        if not isinstance(value, dict):
            return json.dumps(value)
        inner = ",\n".join(f"{indent}  {json.dumps(key)}: {lines(item, indent + '  ')}" for key, item in value.items())
        return "{\n" + inner + "\n" + indent + "}"
    return lines(golden, "") + "\n"


def largest_difference(a, b):
    """Largest |a - b| / max(1, |b|) over two trees of equal form; texts are not compared."""
    if isinstance(b, dict):
        assert a.keys() == b.keys()
        return max(largest_difference(a[key], b[key]) for key in b)
    if isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        return max(map(largest_difference, a, b))
    return 0.0 if isinstance(b, str) else abs(a - b) / max(1.0, abs(b))


def finite_difference_error(golden):
    """Largest |central difference - gradient| over four elements of every parameter."""
    p = make_parameters(torch.float64)
    inputs, targets, h, worst = make_ids("inputs"), padded_targets(), 1e-5, 0.0
    for name, tensor in p.items():
        flat = tensor.detach().view(-1)
        for j in range(4):
            i = rule("probe." + name, j) % flat.numel()
            value, sides = flat[i].item(), []
            for x in (value + h, value - h):
                flat[i] = x
                sides.append(mean_loss(p, inputs, targets).item())
            flat[i] = value
            worst = max(worst, abs((sides[0] - sides[1]) / (2 * h) - golden["gradients"][name][i]))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    golden = compute()
    if not check:
        FILE.write_text(to_text(golden))
        return
    kept = json.loads(FILE.read_text())
    kept["adamw"].pop("float32"), golden["adamw"].pop("float32")  # a record, not a reference
    difference, slope_error = largest_difference(golden, kept), finite_difference_error(kept)
    print(f"torch {torch.__version__}: differs from the file by {difference:.1e}; finite differences by {slope_error:.1e}")
    sys.exit(0 if difference < 1e-10 and slope_error < 1e-8 else 1)


main()
