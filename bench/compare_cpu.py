#!/usr/bin/env python3
"""Our training speed against PyTorch's on this machine's CPU: alternating runs, medians, one Markdown table.

Each round runs every contestant once, one after the other, so that a slow minute of the machine hurts all of them.
With each run goes the share of the machine that other processes used meanwhile (from /proc/stat, less the run's own
CPU time). Rounds above --max-foreign do not count for that contestant; if none is below, all count, marked with `*`.

--ours is a shell command whose standard output has a line `tokens_per_s=NUMBER`, or JSON with that name. In it {layers} {heads} {embd} {block}
{batch} {vocab} {threads} {seconds} are filled in. Without --ours the peers run alone.

  bench/compare_cpu.py --config micro --threads 2 --rounds 5 --pip-python venv/bin/python \
      --ours 'build/zhgpt bench --json --n-layer {layers} ...' --out bench/results/machine.md
"""

import argparse
import os
import pathlib
import re
import resource
import shlex
import statistics
import subprocess
import sys
import time

from configs import CONFIGS

BASELINE = pathlib.Path(__file__).with_name("pytorch_baseline.py")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", help="command template")
    parser.add_argument("--config", choices=CONFIGS, default="micro")
    parser.add_argument("--vocab", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring, of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-foreign", type=float, default=0.06, help="share of the machine, 0 to 1")
    parser.add_argument("--pip-python", help="a Python with pip's torch")
    parser.add_argument("--pip-preload", help="LD_PRELOAD of one more peer: pip's torch, compiled and tuned (README.md)")
    parser.add_argument("--debian-python", help="a Python with Debian's torch, usually /usr/bin/python3")
    parser.add_argument("--openblas", default="/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0",
                        help="OpenMP build of OpenBLAS for Debian's torch; left out where there is none")
    parser.add_argument("--out", type=pathlib.Path, help="append the table to this file")
    return parser.parse_args()


def contestants(args):
    """Name -> shell command. Every peer prints the JSON line of pytorch_baseline.py."""
    flags = f"--config {args.config} --vocab {args.vocab} --threads {args.threads} --seconds {args.seconds:g} --json"
    baseline = f"{shlex.quote(os.path.relpath(BASELINE))} {flags}"
    commands = {}
    if args.ours:
        commands["ours"] = args.ours.format(**CONFIGS[args.config], vocab=args.vocab, threads=args.threads, seconds=args.seconds)
    if args.pip_python:
        commands["pip eager"] = f"{args.pip_python} {baseline}"
        commands["pip compiled"] = f"{args.pip_python} {baseline} --compile"
        if args.pip_preload:
            preload = shlex.quote(args.pip_preload)
            commands["pip compiled, tuned"] = f"LD_PRELOAD={preload} {args.pip_python} {baseline} --compile"
    if args.debian_python:
        preload = f"LD_PRELOAD={args.openblas} " if os.path.exists(args.openblas) else ""
        commands["debian eager"] = f"{preload}{args.debian_python} {baseline}"
    return commands


def busy_seconds():
    """CPU seconds that the machine has spent on anything since boot, all processors."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(name, command):
    """(tokens/s, foreign share) of one run, or None when it failed."""
    start, busy, own = time.monotonic(), busy_seconds(), own_seconds()
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    wall = time.monotonic() - start
    foreign = max(0.0, busy_seconds() - busy - (own_seconds() - own)) / (wall * os.cpu_count())
    found = re.search(r'(?:^tokens_per_s=|"tokens_per_s": )([0-9.eE+]+)', done.stdout, re.MULTILINE)
    if done.returncode != 0 or not found:
        print(f"{name} failed ({done.returncode}): {command}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return float(found[1]), foreign


def table(args, commands, runs):
    rows = []
    for name, command in commands.items():
        if not runs[name]:
            rows.append((name, command, None))
            continue
        clean = [run for run in runs[name] if run[1] <= args.max_foreign]
        counted = clean or runs[name]
        rows.append((name, command, dict(
            median=statistics.median(speed for speed, _ in counted),
            best=max(speed for speed, _ in runs[name]),
            foreign=statistics.median(foreign for _, foreign in counted),
            rounds=f"{len(counted)} of {len(runs[name])}" + ("" if clean else " *"))))
    peers = [row["median"] for name, _, row in rows if row and name != "ours"]
    bar = max(peers) if peers else None
    lines = [f"### {args.config}, vocabulary {args.vocab}, {args.threads} threads, float32; {time.strftime('%Y-%m-%d')}, "
             f"{cpu_name()}", "",
             "| contestant | tokens/s, median | best | of best peer | foreign load | rounds counted |",
             "|---|---:|---:|---:|---:|---:|"]
    for name, _, row in rows:
        if row is None:
            lines.append(f"| {name} | failed | | | | |")
            continue
        ratio = f"{row['median'] / bar:.2f}" if bar else ""
        lines.append(f"| {name} | {row['median']:.0f} | {row['best']:.0f} | {ratio} | {row['foreign']:.0%} | {row['rounds']} |")
    lines += ["", "Commands:", "", "```sh"] + [f"# {name}\n{command}" for name, command, _ in rows] + ["```", ""]
    return "\n".join(lines)


def cpu_name():
    names = re.findall(r"^model name\s*:\s*(.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    return f"{len(names)} x {names[0]}" if names else "unknown processor"


def main():
    args = parse_arguments()
    commands = contestants(args)
    if not commands:
        sys.exit("nothing to run: give --ours, --pip-python or --debian-python")
    runs = {name: [] for name in commands}
    for round_number in range(1, args.rounds + 1):
        for name, command in commands.items():
            result = run(name, command)
            if result:
                runs[name].append(result)
                print(f"round {round_number}: {name}: {result[0]:.0f} tokens/s, foreign load {result[1]:.0%}", file=sys.stderr)
    text = table(args, commands, runs)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with args.out.open("a") as file:
            file.write(text + "\n")


main()
