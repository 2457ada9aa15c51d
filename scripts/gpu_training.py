#!/usr/bin/env python3
"""Training runs of the program on a device, held against the CPU's and against each other.

  scripts/gpu_training.py build/zhgpt data/sample_zh.txt OUT_DIR --device cuda --dtypes fp32,bf16

1. 200 steps in each dtype, with the loss beside that of the CPU in fp32.
2. Each run once more from its checkpoint at step 100: the state at step 200 must be the same to the bit.
3. From step 100, 50 steps on the CPU and 50 on the device again: the loss beside that of the run that never left it.

Prints a JSON object; exit code 1 when anything of it is not as it must be."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

STEPS, HALF = 200, 100
# Loss in nats beside the CPU's, at any logged step. Rounding differs, and 200 steps let it grow; a mistake shows in the
# first decimal.
TOLERANCE = {"fp32": 0.02, "tf32": 0.1, "bf16": 0.15}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("corpus")
    parser.add_argument("out_dir", type=pathlib.Path, help="is emptied")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtypes", default="fp32,bf16")
    return parser.parse_args()


args = parse_arguments()


def zhgpt(*arguments):
    command = [args.program, *map(str, arguments), "--lang", "en"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-1500:]}")
    return done.stdout


def train(name, device, dtype):
    run = args.out_dir / name
    zhgpt("train", args.corpus, "--out-dir", run, "--device", device, "--dtype", dtype, "--max-iters", STEPS,
          "--save-interval", HALF // 2, "--keep-last", 100, "--preset", "micro", "--dropout", 0.1)
    return run


def losses(run):
    """Training loss by step; of a step that was trained twice, the later."""
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {record["step"]: record["loss"] for record in records if "loss" in record}


def state(run):
    return json.loads(zhgpt("inspect", run, "--json"))["state_hash"]


def copied(run, name):
    copy = args.out_dir / name
    shutil.copytree(run, copy)
    return copy


def checkpoint(run, step):
    return next(path for path in run.glob("*.bin") if json.loads(zhgpt("inspect", path, "--json"))["step"] == step)


def largest_difference(a, b):
    return max(abs(a[step] - b[step]) for step in a)


def check(dtype, on_cpu):
    run = train(dtype, args.device, dtype)
    loss, cpu_loss = losses(run), losses(on_cpu)
    result = {"loss": loss, "beside_cpu": largest_difference(loss, cpu_loss), "tolerance": TOLERANCE[dtype]}

    again = copied(run, dtype + "-resumed")
    zhgpt("resume", checkpoint(again, HALF), "--device", args.device, "--dtype", dtype)
    result["resumed_to_the_bit"] = state(again) == state(run) and losses(again) == loss

    away = copied(run, dtype + "-there-and-back")
    middle = HALF + HALF // 2
    zhgpt("resume", checkpoint(away, HALF), "--device", "cpu", "--dtype", "fp32")
    zhgpt("resume", checkpoint(away, middle), "--device", args.device, "--dtype", dtype)
    result["there_and_back"] = abs(losses(away)[STEPS] - loss[STEPS])
    result["ok"] = (result["resumed_to_the_bit"] and result["beside_cpu"] <= TOLERANCE[dtype]
                    and result["there_and_back"] <= TOLERANCE[dtype] and loss[STEPS] < loss[min(loss)] - 1)
    return result


def main():
    shutil.rmtree(args.out_dir, ignore_errors=True)
    args.out_dir.mkdir(parents=True)
    on_cpu = train("cpu", "cpu", "fp32")
    result = {"cpu_loss": losses(on_cpu)}
    for dtype in args.dtypes.split(","):
        try:
            result[dtype] = check(dtype, on_cpu)
        except RuntimeError as error:
            result[dtype] = {"ok": False, "error": str(error)}
    print(json.dumps(result, indent=1))
    sys.exit(0 if all(result[dtype]["ok"] for dtype in args.dtypes.split(",")) else 1)


main()
