#!/usr/bin/env python3
"""What zhgpt writes, read by the libraries themselves: safetensors, tokenizers, gguf and msgpack, from PyPI.

  check_libraries.py ZHGPT TEXT    (run by scripts/check_libraries.sh)

Trains a tiny model on TEXT for some steps, writes it in every form, and compares each number with the one in the others;
then the safetensors library writes a model, and zhgpt takes it over.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import msgpack
import numpy
from gguf import GGUFReader
from safetensors import safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

ZHGPT, TEXT = sys.argv[1:]
DTYPES = {"f32": "<f4", "f16": "<f2", "i32": "<i4"}
GGUF_NAMES = [("h.", "blk."), (".ln_1.", ".attn_norm."), (".ln_2.", ".ffn_norm."), (".attn.c_attn.", ".attn_qkv."),
              (".attn.c_proj.", ".attn_output."), (".mlp.c_fc.", ".ffn_up."), (".mlp.c_proj.", ".ffn_down."),
              ("wte.", "token_embd."), ("wpe.", "position_embd."), ("ln_f.", "output_norm.")]


def zhgpt(*arguments):
    done = subprocess.run([ZHGPT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"zhgpt {arguments}: {done.stderr}"
    return done.stdout


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def read_safetensors(path):
    """Parameters by our names, (OC, C)."""
    tensors = {}
    with safe_open(path, framework="np") as file:
        for name in file.keys():
            if name.startswith("transformer."):
                value = file.get_tensor(name)
                is_conv1d = value.ndim == 2 and (".attn.c_" in name or ".mlp.c_" in name)
                tensors[name.removeprefix("transformer.")] = numpy.ascontiguousarray(value.T) if is_conv1d else value
    return tensors


def find_tensors(node):
    """Every {"name", "dtype", "shape", "data"} below a MessagePack document."""
    if isinstance(node, dict):
        if {"name", "dtype", "shape", "data"} <= node.keys():
            yield node
        for value in node.values():
            yield from find_tensors(value)
    elif isinstance(node, list):
        for value in node:
            yield from find_tensors(value)


def check_msgpack(run, work, parameters):
    zhgpt("convert", run, "-o", work / "model.mpk")
    document = msgpack.unpackb((work / "model.mpk").read_bytes())
    seen = set()
    for tensor in find_tensors(document):
        if tensor.get("kind", "parameter") == "parameter":
            value = numpy.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
            assert same_bits(value, parameters[tensor["name"]]), tensor["name"]
            seen.add(tensor["name"])
    assert seen == parameters.keys()
    return f"msgpack: {len(seen)} parameters bit-equal to those of .safetensors"


def check_tokenizer(hf):
    tokenizer = Tokenizer.from_file(str(hf / "tokenizer.json"))
    vocab = json.loads((hf / "tokenizer.json").read_text())["model"]["vocab"]
    text = "".join(c for c in pathlib.Path(TEXT).read_text() if c in vocab)  # those of the validation part are unknown
    ids = tokenizer.encode(text).ids
    assert ids == [vocab[character] for character in text], "not split by character"
    assert tokenizer.decode(ids) == text, "does not come back"
    assert tokenizer.encode("春\U00020BB7\n\n春").ids == [vocab["春"], 0, vocab["\n"], vocab["\n"], vocab["春"]]
    return f"{len(text)} characters to as many tokens and back"


def check_gguf(run, work, parameters):
    worst = 0.0
    for dtype in ("f32", "f16"):
        zhgpt("export", run, "-o", work / f"{dtype}.gguf", "--format", "gguf", "--dtype", dtype)
        tensors = {t.name: t for t in GGUFReader(work / f"{dtype}.gguf").tensors}
        assert len(tensors) == len(parameters)
        for name, expected in parameters.items():
            theirs = name
            for ours, llama in GGUF_NAMES:
                theirs = theirs.replace(ours, llama) if ours != "h." else theirs.replace(ours, llama, theirs.startswith("h."))
            value = numpy.asarray(tensors[theirs].data).reshape(expected.shape)
            is_half = dtype == "f16" and expected.ndim == 2 and name != "wpe.weight"
            assert value.dtype == (numpy.float16 if is_half else numpy.float32), theirs
            assert same_bits(value, expected.astype(value.dtype)), theirs
            worst = max(worst, float(numpy.abs(value.astype(numpy.float32) - expected).max()))
    return f"{len(tensors)} tensors in F32 bit-equal, in F16 rounded as numpy rounds (largest error {worst:.1e})"


def check_import(work):
    """A model that the library wrote, under a vocabulary of BERT's kind."""
    rows, C, T = ["[PAD]", "[UNK]", "[SEP]", "春", "##春", "the", "秋"], 8, 6
    random = numpy.random.default_rng(1)
    shapes = {"wte.weight": (len(rows), C), "wpe.weight": (T, C), "ln_f.weight": (C,), "ln_f.bias": (C,)}
    for name, shape in {"ln_1.weight": (C,), "ln_1.bias": (C,), "ln_2.weight": (C,), "ln_2.bias": (C,),
                        "attn.c_attn.weight": (C, 3 * C), "attn.c_attn.bias": (3 * C,), "attn.c_proj.weight": (C, C),
                        "attn.c_proj.bias": (C,), "mlp.c_fc.weight": (C, 4 * C), "mlp.c_fc.bias": (4 * C,),
                        "mlp.c_proj.weight": (4 * C, C), "mlp.c_proj.bias": (C,)}.items():
        shapes["h.0." + name] = shape
    tensors = {name: random.standard_normal(shape).astype(numpy.float32) for name, shape in shapes.items()}
    theirs = work / "theirs"
    theirs.mkdir()
    save_file(tensors, theirs / "model.safetensors", metadata={"format": "pt"})
    (theirs / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": len(rows), "n_positions": T,
                                                    "n_embd": C, "n_layer": 1, "n_head": 2}))
    (theirs / "vocab.txt").write_text("\n".join(rows) + "\n")
    zhgpt("import", theirs, "-o", work / "taken.safetensors")
    taken = read_safetensors(work / "taken.safetensors")
    for name, value in tensors.items():
        is_conv1d = value.ndim == 2 and (".attn.c_" in name or ".mlp.c_" in name)
        expected = value[[1, 2, 3, 6]] if name == "wte.weight" else numpy.ascontiguousarray(value.T) if is_conv1d else value
        assert same_bits(taken[name], expected), name
    return f"{len(tensors)} tensors taken over bit-equal, rows 1, 2, 3, 6 of 7"


def main():
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        run = work / "run"
        zhgpt("train", TEXT, "-o", run, "--n-layer", 2, "--n-head", 2, "--n-embd", 32, "--block-size", 32, "--batch-size", 4,
              "--max-iters", 5, "--device", "cpu")
        zhgpt("export", run, "-o", work / "hf", "--format", "hf")
        parameters = read_safetensors(work / "hf" / "model.safetensors")
        print("safetensors:", len(parameters), "parameters read")
        print(check_msgpack(run, work, parameters))
        print("tokenizers:", check_tokenizer(work / "hf"))
        print("gguf:", check_gguf(run, work, parameters))
        print("safetensors to zhgpt:", check_import(work))


main()
