#!/usr/bin/env python3
"""Turns the logs of scripts/gpu_check.sh into RESULTS_DIR/<gpu>.md and .json; takes what is there.

  scripts/gpu_report.py LOGS_DIR RESULTS_DIR cuda|cpu"""

import json
import pathlib
import re
import sys
import time

logs, results, device = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]


def read_json(name):
    try:
        return json.loads((logs / name).read_text())
    except (OSError, json.JSONDecodeError):
        return None


def table(header, rows):
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def read_steps():
    steps = []
    for line in (logs / "steps.tsv").read_text().splitlines():
        name, code, seconds, command = line.split("\t")
        steps.append({"name": name, "exit_code": int(code), "seconds": int(seconds), "command": command})
    return steps


def tail(name, lines=30):
    text = "".join((logs / f"{name}.{kind}").read_text(errors="replace")[-6000:] for kind in ("out", "log"))
    return "\n".join(text.splitlines()[-lines:])


def selftest_lines(selftest):
    lines = selftest["lines"]
    timed = [line for line in lines if line["us"]]
    out = [f"{len(lines)} lines, {selftest['wrong']} wrong. Ceilings: {json.dumps(selftest['ceilings'])}.", ""]
    out += table(["WRONG", "shape", "dtype", "error", "bound"],
                 [(x["name"], x["shape"], x["dtype"], x["error"], x["bound"]) for x in lines if not x["ok"]]) if selftest["wrong"] else []
    return out + table(["operation", "shape", "dtype", "us", "GB/s", "TFLOP/s", "of roofline"],
                       [(x["name"], x["shape"], x["dtype"], f"{x['us']:.1f}", f"{x['gb_per_s']:.0f}", f"{x['tflop_per_s']:.1f}",
                         f"{x['share']:.0%}" if x["share"] else "") for x in timed])


def training_lines(training):
    rows = [(dtype, "ok" if x["ok"] else "WRONG", *(x.get(key, "") for key in ("beside_cpu", "tolerance", "resumed_to_the_bit",
             "there_and_back")), x.get("error", "")) for dtype, x in training.items() if dtype != "cpu_loss"]
    return table(["dtype", "", "loss beside the CPU's", "tolerance", "resumed to the bit", "there and back", "error"], rows)


def compare_lines(compare):
    out = []
    for part, unit in (("training", "tokens_per_s"), ("sampling", "chars_per_s")):
        rows = [(row["config"], row[unit], peer, numbers[unit], numbers["ratio"])
                for row in compare[part] for peer, numbers in row["peers"].items()]
        out += table(["config", f"ours, {unit}", "PyTorch", unit, "ours / theirs"], rows)
    if compare.get("checkpoint"):
        out += ["Checkpoint: " + json.dumps(compare["checkpoint"]), ""]
    kernels = compare.get("kernels")
    if kernels:
        out += [f"A graph's node takes {kernels['graph_node_us']} us, torch's copy moves {kernels['copy_gb_per_s']} GB/s.", ""]
        rows = [(x["name"], x["shape"], x["ours_us"], ", ".join(f"{k} {v}" for k, v in x.items() if k not in ("name", "shape", "ours_us")))
                for x in kernels["kernels"]]
        out += table(["operation", "shape", "ours, us", "PyTorch, us"], rows)
    if compare["left_out"]:
        out += ["Left out, no time: " + "; ".join(compare["left_out"]) + ".", ""]
    return out


def main():
    machine = (logs / "machine.txt").read_text().splitlines()
    gpu = machine[1].split(",")[0] if device == "cuda" else "rehearsal on a CPU"
    steps = read_steps()
    whole = {"gpu": gpu, "date": time.strftime("%Y-%m-%d"), "machine": machine, "steps": steps,
             "selftest": read_json("selftest.out"), "training": read_json("training.out"), "compare": read_json("compare.json")}
    name = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    (results / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")

    lines = [f"# {gpu}, {whole['date']}", "", "Written by `scripts/gpu_check.sh`. Commit, card (driver, SM clock now and at most, memory "
             "clock, memory), compiler:", "", "```", *machine, "```", ""]
    lines += table(["step", "", "seconds"], [(s["name"], "ok" if s["exit_code"] == 0 else f"FAILED ({s['exit_code']})", s["seconds"]) for s in steps])
    for step in steps:
        if step["exit_code"] != 0:
            lines += [f"The end of `{step['name']}`:", "", "```", tail(step["name"]), "```", ""]
    for title, part, writer in (("Selftest", "selftest", selftest_lines), ("Training", "training", training_lines),
                                ("Beside PyTorch", "compare", compare_lines)):
        if whole[part]:
            lines += [f"## {title}", "", *writer(whole[part])]
    lines += ["## Commands", "", "```sh", *(s["command"] for s in steps), "```"]
    (results / f"{name}.md").write_text("\n".join(lines) + "\n")


main()
