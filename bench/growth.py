#!/usr/bin/env python3
"""How the time a token takes grows: with tokens a step, with the context, with the corpus, with epochs. Markdown tables.

Every round measures each size once, one after the other, so that a slow minute of the machine hurts all of them; a figure
is the median of the rounds. The model is that of the preset micro with a vocabulary of 6000, on all CPU threads.

  bench/growth.py build/zhgpt --rounds 3 --out bench/results/machine.md
"""

import argparse
import json
import pathlib
import random
import shlex
import statistics
import subprocess
import sys
import tempfile

from compare_cpu import commit, cpu_name, publish

VOCAB = 6000


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="path of zhgpt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring, of each size")
    parser.add_argument("--most-characters", type=int, default=100_000_000, help="of the largest corpus")
    parser.add_argument("--out", type=pathlib.Path, help="append the tables to this file")
    args = parser.parse_args()
    if args.rounds < 1 or args.most_characters < 1_000_000:
        parser.error("at least one round, and a million characters")
    args.program = pathlib.Path(args.program).resolve()
    return args


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def bench(args, batch, block):
    """Microseconds a token, in all and in attention."""
    out = json.loads(run([args.program, "bench", "--json", "--device", "cpu", "--vocab-size", VOCAB, "--batch-size", batch,
                          "--block-size", block, "--seconds", args.seconds]))
    attention = sum(o["ms"] for o in out["operations"] if o["operation"].startswith("Attention"))
    return [1e6 / out["tokens_per_s"], 1e3 * attention / out["tokens_per_step"]]


def corpus(path, characters):
    """Random characters in lines of 63, every one of the vocabulary among them."""
    draw = random.Random(characters)
    alphabet = [chr(0x4E00 + i) for i in range(VOCAB)]
    lines = characters // 64
    piece = ["".join(draw.choices(alphabet, k=63)) + "\n" for _ in range(min(lines, 10_000))]
    with path.open("w", encoding="utf-8") as file:
        file.write("".join(alphabet) + "\n")
        for begin in range(0, lines, len(piece)):
            file.writelines(piece[:lines - begin])


def train(args, text, scratch, *flags):
    """Microseconds a token of each tenth step of a run, the first left out."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        out = pathlib.Path(folder) / "run"
        run([args.program, "train", text, "-o", out, "--device", "cpu", "--log-interval", "10", "--save-policy", "last", *flags])
        lines = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    return [1e6 / line["chars_per_s"] for line in lines if "chars_per_s" in line][1:]


def rounds(args, sizes, measure):
    """size -> medians of what `measure(size)` gives, a list."""
    runs = {size: [] for size in sizes}
    for _ in range(args.rounds):
        for size in sizes:
            runs[size].append(measure(size))
    return {size: [statistics.median(column) for column in zip(*of_size)] for size, of_size in runs.items()}


def table(title, header, rows):
    widths = ["---:"] * len(header)
    return "\n".join([f"{title}:", ""] + ["| " + " | ".join(map(str, row)) + " |" for row in [header, widths, *rows]] + [""])


def main():
    args = parse_arguments()
    parts = [f"### Growth; {cpu_name()}, commit {commit()}, {args.rounds} rounds", "",
             f"`{shlex.join(sys.argv)}`", ""]
    batches = [3, 6, 12, 24, 48, 96]
    found = rounds(args, batches, lambda batch: bench(args, batch, 64))
    parts.append(table("Tokens a step, 64 positions", ["tokens a step", "µs a token"],
                       [[64 * batch, f"{found[batch][0]:.1f}"] for batch in batches]))

    blocks = [64, 128, 256, 512, 1024, 2048]
    found = rounds(args, blocks, lambda block: bench(args, 2048 // block, block))
    parts.append(table("Context, 2048 tokens a step", ["positions", "µs a token", "of it attention"],
                       [[block, f"{found[block][0]:.1f}", f"{found[block][1]:.1f}"] for block in blocks]))

    with tempfile.TemporaryDirectory() as scratch:
        sizes = [size for size in (1_000_000, 10_000_000, 100_000_000) if size <= args.most_characters]
        texts = {size: pathlib.Path(scratch) / f"{size}.txt" for size in sizes}
        for size, text in texts.items():
            corpus(text, size)
        found = rounds(args, sizes, lambda size: [statistics.median(
            train(args, texts[size], scratch, "--max-iters", "150", "--eval-interval", "1000"))])
        parts.append(table("Corpus, 768 tokens a step", ["characters", "µs a token"],
                           [[f"{size:,}", f"{found[size][0]:.1f}"] for size in sizes]))

        epochs, small = 5, pathlib.Path(scratch) / "small.txt"
        corpus(small, 120_000)

        def by_epoch(_):
            steps = train(args, small, scratch, "--epochs", epochs)
            fifth = len(steps) // epochs
            return [statistics.median(steps[i * fifth:(i + 1) * fifth]) for i in range(epochs)]

        found = rounds(args, ["a run"], by_epoch)["a run"]
        parts.append(table("Epochs of 120,000 characters", ["epoch", "µs a token"], [[i + 1, f"{us:.1f}"] for i, us in enumerate(found)]))
    publish("\n".join(parts), args.out)


if __name__ == "__main__":
    main()
