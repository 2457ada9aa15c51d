#!/usr/bin/env python3
"""Our training and sampling on a GPU against PyTorch's there: alternating runs, medians, ratios, as JSON.

For each configuration (configs.py) ours and the peers take turns: ours, eager, ours, compiled, ours, compiled with CUDA
graphs, ours. A peer's ratio is to the mean of our runs around its own, so that a clock that drifts hurts both alike.
Everything in bfloat16 with float32 parameters. Then torch_kernels.py at the selftest's shapes, and how long a checkpoint
takes. What the time does not suffice for is named in `left_out`; results are written after every run.

  bench/gpu_compare.py --selftest selftest.json --seconds-in-all 240 --out compare.json
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from configs import GPU_CONFIGS

ROOT = pathlib.Path(__file__).resolve().parent
PEERS = {"eager": [], "compiled": ["--compile"], "compiled, CUDA graphs": ["--compile", "reduce-overhead"]}
SHORTEST = 20  # seconds below which no peer is started


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/bench_step", help="the program")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch")
    parser.add_argument("--device", default="cuda", help="cuda or cpu; the latter to try this script, in float32")
    parser.add_argument("--configs", default="micro,tiny,gpt2,small,gpt2_50k", help="in order of importance")
    parser.add_argument("--selftest", help="JSON of the selftest: kernels are compared too")
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring, of each run")
    parser.add_argument("--seconds-in-all", type=float, default=240.0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    return parser.parse_args()


args = parse_arguments()
END = time.monotonic() + args.seconds_in_all
results = {"training": [], "sampling": [], "left_out": [], "failed": []}


def left():
    return END - time.monotonic()


def save():
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def run(what, command):
    """Numbers that a program printed, as name=value lines or as JSON; {} when it failed or took too long."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(1.0, left()))
    except subprocess.TimeoutExpired:
        results["left_out"].append(what)
        return {}
    if done.returncode != 0:
        results["failed"].append({"what": what, "command": " ".join(command), "stderr": done.stderr[-1500:]})
        print(f"{what} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
        return {}
    if done.stdout.startswith("{"):
        return json.loads(done.stdout)
    return {name: float(value) for name, value in re.findall(r"^(\w+)=([0-9.eE+-]+)$", done.stdout, re.MULTILINE)}


def ours(config, extra=()):
    c = config
    dtype = "bf16" if args.device == "cuda" else "fp32"
    return [args.ours, c["layers"], c["heads"], c["embd"], c["block"], c["batch"], c["vocab"], 0, args.seconds,
            "--device", args.device, "--dtype", dtype, *extra]


def theirs(config, extra):
    sizes = [word for name, value in config.items() for word in ("--" + name, value)]
    return [args.python, ROOT / "pytorch_baseline.py", *sizes, "--device", args.device, "--seconds", args.seconds, "--json",
            *extra]


def compare(name, unit, our_command, their_commands):
    """One row: our runs between theirs."""
    if left() < SHORTEST:
        results["left_out"].append(name)
        return None
    before = run(f"{name}, ours", our_command).get(unit)
    row = {"config": name, "ours": [before], "peers": {}}
    for peer, command in their_commands.items():
        if left() < SHORTEST:
            results["left_out"].append(f"{name}, {peer}")
            continue
        their = run(f"{name}, {peer}", command)
        after = run(f"{name}, ours", our_command).get(unit)
        row["ours"].append(after)
        if their and before and after:
            row["peers"][peer] = {unit: their[unit], "ratio": round((before + after) / 2 / their[unit], 3),
                                  "first_seconds": their.get("first_seconds")}
        before = after
    runs = [value for value in row["ours"] if value]
    row[unit] = statistics.median(runs) if runs else None
    best = max((peer[unit] for peer in row["peers"].values()), default=None)
    row["of_best_peer"] = round(row[unit] / best, 3) if best and row[unit] else None
    print(json.dumps(row), file=sys.stderr)
    return row


def compare_training(name):
    config = GPU_CONFIGS[name]
    row = compare(name, "tokens_per_s", ours(config), {peer: theirs(config, extra) for peer, extra in PEERS.items()})
    if row:
        results["training"].append(row)
        save()


def compare_sampling(name):
    config = GPU_CONFIGS[name]
    row = compare(f"{name}, sampling", "chars_per_s", ours(config, ["--sample"]),
                  {"eager, without a cache": theirs(config, ["--sample", 128])})
    if row:
        results["sampling"].append(row)
        save()


def compare_checkpoints(name):
    config = GPU_CONFIGS[name]
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "state.bin"
        our = run("checkpoint, ours", ours(config, ["--checkpoint", file]))
        their = run("checkpoint, torch.save", theirs(config, ["--checkpoint", file]))
    results["checkpoint"] = {"config": name, "ours_ms": our.get("checkpoint_ms"), "torch_save_ms": their.get("checkpoint_ms")}
    save()


def main():
    names = args.configs.split(",")
    if args.selftest and args.device == "cuda":
        results["kernels"] = run("kernels", [args.python, ROOT / "torch_kernels.py", args.selftest])
        save()
    compare_training(names[0])
    compare_sampling(names[0])
    compare_checkpoints(names[0])
    for name in names[1:]:
        compare_training(name)
    for name in names[1:]:
        compare_sampling(name)
    save()
    sys.exit(1 if results["failed"] else 0)


main()
