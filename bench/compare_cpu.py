#!/usr/bin/env python3
"""Our training speed against PyTorch's on this machine's CPU: alternating runs, medians, one Markdown table.

Each round runs every contestant once, one after the other, so that a slow minute of the machine hurts all of them.
With each run goes the share of the machine that other processes used meanwhile (from /proc/stat, less the run's own
CPU time). Rounds above --max-foreign do not count for that contestant; if none is below, all count, marked with `*`.

--ours is a shell command that prints what `zhgpt bench --json` prints. In it {layers} {heads} {embd} {block} {batch} {vocab} {threads} {seconds}
are filled in. Without --ours the peers run alone.

  bench/compare_cpu.py --config micro --threads 2 --rounds 5 --pip-python venv/bin/python \
      --ours 'build/zhgpt bench --json --n-layer {layers} ...' --out bench/results/machine.md
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shlex
import statistics
import subprocess
import sys
import time
import typing

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


class Run(typing.NamedTuple):
    """One run of a contestant; the last is the share of the machine that others had meanwhile."""
    tokens_per_s: float
    cpu_ms: float  # of all threads, a step
    peak_mib: float  # resident memory
    foreign: float


def run(name, command):
    """The run, or None when it failed."""
    start, busy, own = time.monotonic(), busy_seconds(), own_seconds()
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    wall = time.monotonic() - start
    foreign = max(0.0, busy_seconds() - busy - (own_seconds() - own)) / (wall * os.cpu_count())
    try:
        if done.returncode != 0:
            raise ValueError("its exit status")
        result = json.loads(done.stdout)
        peak = result["peak_rss_mib"] if "peak_rss_mib" in result else result["most_host_bytes"] / 2**20
        return Run(float(result["tokens_per_s"]), float(result["cpu_ms"]), float(peak), foreign)
    except (ValueError, KeyError, TypeError) as error:
        print(f"{name} failed ({done.returncode}, {error!r}): {command}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}",
              file=sys.stderr)
        return None


def table(args, commands, runs, of_commit):
    rows = {}
    for name, of_name in runs.items():
        clean = [run for run in of_name if run.foreign <= args.max_foreign]
        counted = clean or of_name
        if counted:
            speeds = [run.tokens_per_s for run in counted]
            rows[name] = dict(
                {field: statistics.median(getattr(run, field) for run in counted) for field in Run._fields},
                spread=f"{min(speeds):.0f} to {max(speeds):.0f}",
                rounds=f"{len(counted)} of {len(of_name)}" + ("" if clean else " *"))
    bar = max((row["tokens_per_s"] for name, row in rows.items() if name != "ours"), default=None)
    lines = [f"### {args.config}, vocabulary {args.vocab}, {args.threads} threads, float32; {time.strftime('%Y-%m-%d')}, "
             f"{cpu_name()}, commit {of_commit}", "",
             "| contestant | tokens/s, median | spread | of best peer | CPU ms a step | peak memory, MiB | foreign load | rounds counted |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for name in commands:
        if name not in rows:
            lines.append(f"| {name} | failed | | | | | | |")
            continue
        row = rows[name]
        ratio = f"{row['tokens_per_s'] / bar:.2f}" if bar else ""
        lines.append(f"| {name} | {row['tokens_per_s']:.0f} | {row['spread']} | {ratio} | {row['cpu_ms']:.1f} | {row['peak_mib']:.0f} "
                     f"| {row['foreign']:.0%} | {row['rounds']} |")
    lines += ["", "Commands:", "", "```sh"] + [f"# {name}\n{command}" for name, command in commands.items()] + ["```", ""]
    return "\n".join(lines)


def commit():
    """The commit of this folder, with a + where the tree has changes."""
    def git(*arguments):
        return subprocess.run(["git", "-C", str(BASELINE.parent), *arguments], capture_output=True, text=True).stdout.strip()

    try:
        return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain") else "")
    except OSError:
        return "unknown"


def cpu_name():
    names = re.findall(r"^model name\s*:\s*(.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    return f"{len(names)} x {names[0]}" if names else "unknown processor"


def publish(text, out):
    """To standard output, and to the end of the file `out` if there is one."""
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a") as file:
            file.write(text + "\n")


def main():
    args = parse_arguments()
    commands = contestants(args)
    if not commands:
        sys.exit("nothing to run: give --ours, --pip-python or --debian-python")
    runs = {name: [] for name in commands}
    of_commit = commit()
    for round_number in range(1, args.rounds + 1):
        for name, command in commands.items():
            result = run(name, command)
            if result:
                runs[name].append(result)
                print(f"round {round_number}: {name}: {result.tokens_per_s:.0f} tokens/s, foreign load {result.foreign:.0%}",
                      file=sys.stderr)
    publish(table(args, commands, runs, of_commit), args.out)


if __name__ == "__main__":
    main()
