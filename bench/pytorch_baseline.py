#!/usr/bin/env python3
"""Training and sampling speed of PyTorch on the same model as ours: the peer, given its best chance.

The model is GPT-2 as zhgpt has it (pre-LN, learned positions, biases, tanh GELU, tied head, dropout 0): in float32 on a
CPU, on a GPU (--device cuda) with float32 parameters, bfloat16 autocast, and TF32 for what stays float32.
A step is what nanoGPT's train.py does: draw a batch, forward, backward, clip to norm 1.0, AdamW, gradients to None.
Ids are uniform random numbers: the cost of a dense step does not depend on them. Batches are windows at random
offsets of one long array, cut and stacked anew in every step, as in nanoGPT's get_batch.

What is tuned in the peer's favour: attention is F.scaled_dot_product_attention where torch has it; of the AdamW
variants (fused, foreach, loop) the fastest here is taken; one thread pool of --threads, interop 1; --compile.
Settings that live outside the process (allocator, BLAS, OpenMP) are described in README.md. On a GPU the ids lie on the
device, AdamW is the fused one, --compile reduce-overhead replays CUDA graphs, and the device is waited for once in
several steps only.

Runs on torch 1.13 and later. Times are wall clock per step; `cpu_ms` is CPU time of all threads per step.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import statistics
import sys
import time

from configs import CONFIGS


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, default="micro")
    for name in ("layers", "heads", "embd", "block", "batch"):
        parser.add_argument("--" + name, type=int, help="instead of the configuration's")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--vocab", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", nargs="?", const="default", metavar="MODE", help="torch.compile; MODE as in torch")
    parser.add_argument("--attention", choices=("best", "sdpa", "masked"), default="best")
    parser.add_argument("--optimizer", choices=("best", "fused", "foreach", "loop"), default="best")
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring, after the warm-up")
    parser.add_argument("--steps", type=int, default=0, help="instead of --seconds")
    parser.add_argument("--sample", type=int, default=0, metavar="CHARS", help="measure uncached sampling instead")
    parser.add_argument("--cache", action="store_true", help="of that sampling: keep keys and values, texts of one block each")
    parser.add_argument("--checkpoint", metavar="FILE", help="after training, time how long saving all of its state takes")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    arguments = parser.parse_args()
    for name, value in CONFIGS[arguments.config].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


args = parse_arguments()
# Read by the OpenMP and BLAS runtimes when they are loaded, so it must come before the import of torch.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(args.threads)

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

HAS_SDPA = hasattr(F, "scaled_dot_product_attention")
ON_GPU = args.device == "cuda"


def autocast():
    return torch.autocast("cuda", dtype=torch.bfloat16) if ON_GPU else contextlib.nullcontext()


def wait():
    if ON_GPU:
        torch.cuda.synchronize()


class Attention(nn.Module):
    def __init__(self, embd, heads, block, use_sdpa):
        super().__init__()
        self.heads, self.use_sdpa = heads, use_sdpa
        self.c_attn = nn.Linear(embd, 3 * embd)
        self.c_proj = nn.Linear(embd, embd)
        if not use_sdpa:
            future = torch.ones(block, block, dtype=torch.bool).triu(1)
            self.register_buffer("future", future, persistent=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).split(C, dim=2))
        if self.use_sdpa:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(q.size(-1)))
            y = F.softmax(scores.masked_fill(self.future[:T, :T], float("-inf")), dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self, embd, heads, block, use_sdpa):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(embd), nn.LayerNorm(embd)
        self.attn = Attention(embd, heads, block, use_sdpa)
        self.c_fc, self.c_proj = nn.Linear(embd, 4 * embd), nn.Linear(4 * embd, embd)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, layers, heads, embd, block, vocab, use_sdpa):
        super().__init__()
        self.block = block
        self.wte, self.wpe = nn.Embedding(vocab, embd), nn.Embedding(block, embd)
        self.h = nn.ModuleList(Block(embd, heads, block, use_sdpa) for _ in range(layers))
        self.ln_f = nn.LayerNorm(embd)
        self.register_buffer("positions", torch.arange(block), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets=None):
        x = self.wte(ids) + self.wpe(self.positions[: ids.size(1)])
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        if targets is None:  # sampling wants the last position only
            return F.linear(x[:, -1], self.wte.weight)
        logits = F.linear(x, self.wte.weight)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def make_optimizer(model, kind):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    flags = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}[kind]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, **flags)


def fastest_optimizer(model, loss_of_a_batch):
    """Times each AdamW this torch has on real gradients and returns the fastest, with its name."""
    best = None
    for kind in ("fused", "foreach", "loop"):
        try:
            optimizer = make_optimizer(model, kind)
            loss_of_a_batch().backward()
            optimizer.step()  # allocates the moments
        except (RuntimeError, TypeError, ValueError):
            continue  # this torch has no such variant on a CPU
        times = []
        for _ in range(7):
            start = time.perf_counter()
            optimizer.step()
            times.append(time.perf_counter() - start)
        model.zero_grad(set_to_none=True)
        if best is None or min(times) < best[0]:
            best = (min(times), kind, optimizer)
    return best[2], best[1]


def timed(work, seconds, count, calls_between_waits=1):
    """Wall time of each call of `work`, and CPU time of all threads per call."""
    walls = []
    wait()
    cpu_start, deadline = time.process_time(), time.perf_counter() + seconds
    while len(walls) < count if count else time.perf_counter() < deadline:
        start = time.perf_counter()
        for _ in range(calls_between_waits):
            work()
        wait()
        walls.append((time.perf_counter() - start) / calls_between_waits)
    return walls, (time.process_time() - cpu_start) / (len(walls) * calls_between_waits)


def measure_training(model):
    raw = model
    if args.compile:
        model = torch.compile(model, mode=args.compile)
    stream = torch.randint(args.vocab, (1 << 20,), device=args.device)
    window = torch.arange(args.block, device=args.device)

    def batch():
        if ON_GPU:  # nothing of it on the host
            ids = torch.randint(len(stream) - args.block - 1, (args.batch, 1), device=args.device) + window
            return stream[ids], stream[ids + 1]
        offsets = torch.randint(len(stream) - args.block - 1, (args.batch,)).tolist()
        return (torch.stack([stream[i : i + args.block] for i in offsets]),
                torch.stack([stream[i + 1 : i + 1 + args.block] for i in offsets]))

    def loss_of_a_batch():
        ids, targets = batch()
        if args.compile == "reduce-overhead" and ON_GPU:
            torch.compiler.cudagraph_mark_step_begin()
        with autocast():
            return model(ids, targets)

    start = time.perf_counter()
    loss_of_a_batch().backward()  # compiles
    wait()
    first_seconds = time.perf_counter() - start
    raw.zero_grad(set_to_none=True)
    if args.optimizer == "best" and not ON_GPU:
        optimizer, kind = fastest_optimizer(raw, loss_of_a_batch)
    else:
        kind = "fused" if args.optimizer == "best" else args.optimizer
        optimizer = make_optimizer(raw, kind)
    parameters = list(raw.parameters())

    def step():
        loss = loss_of_a_batch()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    per_wait = 16 if ON_GPU else 1
    timed(step, 1.0, 0, per_wait)
    walls, cpu = timed(step, args.seconds, args.steps, per_wait)
    median = statistics.median(walls)
    saved = {}
    if args.checkpoint:
        start = time.perf_counter()
        with open(args.checkpoint, "wb") as file:
            torch.save({"model": raw.state_dict(), "optimizer": optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        saved = {"checkpoint_ms": round(1e3 * (time.perf_counter() - start), 1)}
    return {
        "optimizer": kind,
        "first_seconds": round(first_seconds, 2),
        "steps": len(walls) * per_wait,
        "ms_per_step": round(1e3 * median, 4),
        "ms_min": round(1e3 * min(walls), 3),
        "cpu_ms": round(1e3 * cpu, 3),
        "tokens_per_s": round(args.batch * args.block / median, 1),
        **saved,
    }


class CachedForward:
    """The forward pass of one token more, from keys and values in memory that is taken once."""

    def __init__(self, model):
        self.model, heads = model, args.heads
        shape = (1, heads, args.block, args.embd // heads)
        self.caches = [[torch.zeros(shape, device=args.device) for _ in "kv"] for _ in model.h]

    def __call__(self, id_, t):
        model, heads = self.model, args.heads
        x = model.wte(id_) + model.wpe(model.positions[t : t + 1])  # (1, 1, C)
        for block, (k_cache, v_cache) in zip(model.h, self.caches):
            q, k, v = (part.view(1, 1, heads, -1).transpose(1, 2)
                       for part in block.attn.c_attn(block.ln_1(x)).split(args.embd, dim=2))
            k_cache[:, :, t : t + 1], v_cache[:, :, t : t + 1] = k, v
            keys, values = k_cache[:, :, : t + 1], v_cache[:, :, : t + 1]
            if HAS_SDPA:
                y = F.scaled_dot_product_attention(q, keys, values)
            else:
                y = F.softmax((q @ keys.transpose(-2, -1)) * (1.0 / math.sqrt(q.size(-1))), dim=-1) @ values
            x = x + block.attn.c_proj(y.transpose(1, 2).reshape(1, 1, args.embd))
            x = x + block.c_proj(F.gelu(block.c_fc(block.ln_2(x)), approximate="tanh"))
        return F.linear(model.ln_f(x)[:, -1], model.wte.weight)


@torch.no_grad()
def measure_sampling(model):
    """nanoGPT's generate: the whole context again for every character; temperature 0.8, top 200, one-token prompt.
    With --cache one token at a time, the context empty again after each block."""
    model.eval()
    ids = torch.zeros(1, 1, dtype=torch.long, device=args.device)
    cached = CachedForward(model) if args.cache else None
    if cached:  # it computes what the model computes
        text = torch.randint(args.vocab, (1, args.block), device=args.device)
        for t in range(args.block):
            logits = cached(text[:, t : t + 1], t)
        torch.testing.assert_close(logits, model(text), rtol=1e-3, atol=1e-3)

    def sample():
        nonlocal ids
        with autocast():
            if cached:
                logits = cached(ids[:, -1:], (ids.size(1) - 1) % args.block) / 0.8
            else:
                logits = model(ids[:, -args.block :]).float() / 0.8
        kth = torch.topk(logits, min(200, args.vocab)).values[:, [-1]]
        logits[logits < kth] = -float("inf")
        ids = torch.cat((ids, torch.multinomial(F.softmax(logits, dim=-1), 1)), dim=1)

    per_wait = 16 if ON_GPU else 1
    timed(sample, 0.5, 0, per_wait)
    ids = ids[:, :1]
    walls, cpu = timed(sample, 0, max(1, args.sample // per_wait), per_wait)
    return {
        "chars": len(walls) * per_wait,
        "chars_per_s": round(len(walls) / sum(walls), 1),
        "ms_per_char": round(1e3 * statistics.median(walls), 3),
        "cpu_ms": round(1e3 * cpu, 3),
    }


def main():
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    if args.attention == "sdpa" and not HAS_SDPA:
        sys.exit("this torch has no scaled_dot_product_attention")
    if args.compile and not hasattr(torch, "compile"):
        sys.exit("this torch has no torch.compile")
    use_sdpa = HAS_SDPA and args.attention != "masked"
    if ON_GPU:
        torch.set_float32_matmul_precision("high")
    model = GPT(args.layers, args.heads, args.embd, args.block, args.vocab, use_sdpa).to(args.device)
    result = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if ON_GPU else "cpu",
        "settings": dict(layers=args.layers, heads=args.heads, embd=args.embd, block=args.block, batch=args.batch,
                         vocab=args.vocab, threads=args.threads, compile=args.compile,
                         attention="sdpa" if use_sdpa else "masked"),
        **(measure_sampling(model) if args.sample else measure_training(model)),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")


main()
