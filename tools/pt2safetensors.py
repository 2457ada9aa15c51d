#!/usr/bin/env python3
"""Turns a PyTorch .pt of a GPT-2 into a directory that `zhgpt import` and transformers read.

  pt2safetensors.py CKPT.pt -o DIR [--meta meta.pkl] [--tanh-gelu] [--n-head N]

Reads nanoGPT's ckpt.pt, a dict with `model_state_dict` or `state_dict`, or a bare state dict; prefixes `_orig_mod.`,
`module.` and `transformer.` are taken off. Weights may be nn.Linear's (3C, C) or Conv1D's (C, 3C); missing biases become
zeros, which computes the same. Optimizer state is left behind. Needs torch and safetensors.

A .pt is a pickle, and loading a pickle can run code. torch.load is called with weights_only=True, which builds tensors and
plain data alone; what it refuses is refused. nanoGPT's meta.pkl is read by an unpickler that knows no class at all.

nanoGPT computes GELU exactly, zhgpt and GPT-2 by its tanh form. The directory says "gelu" for such a model, and `zhgpt
import` refuses it. --tanh-gelu writes "gelu_new" instead: logits then differ a little from the original's.
"""

import argparse
import json
import pathlib
import pickle
import re
import sys

import torch
from safetensors.torch import save_file

CONV1D = re.compile(r"h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight")
SKIPPED = re.compile(r"lm_head\.weight|h\.\d+\.attn\.(bias|masked_bias)")
BIASES = re.compile(r"(h\.\d+\.(ln_1|ln_2|attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)|ln_f)\.weight")


class PlainData(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name}: only plain data is read here")


def read_checkpoint(path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        sys.exit(f"{path}: refused by torch.load(weights_only=True), and nothing laxer is tried: {error}")


def state_dict_of(checkpoint, path):
    for key in ("model", "model_state_dict", "state_dict"):
        if isinstance(checkpoint.get(key), dict):
            return checkpoint[key]
    if checkpoint and all(isinstance(value, torch.Tensor) for value in checkpoint.values()):
        return checkpoint
    sys.exit(f"{path}: no model, model_state_dict or state_dict in it; found {list(checkpoint)[:8]}")


def bare_name(name):
    for prefix in ("_orig_mod.", "module.", "transformer."):
        name = name.removeprefix(prefix)
    return name


def gpt2_tensors(state_dict, path):
    """Names and layout of transformers, Conv1D's (in, out)."""
    tensors = {bare_name(name): tensor for name, tensor in state_dict.items()}
    head = tensors.get("lm_head.weight")
    tensors = {name: tensor for name, tensor in tensors.items() if not SKIPPED.fullmatch(name)}
    missing = {"wte.weight", "wpe.weight", "h.0.attn.c_attn.weight"} - tensors.keys()
    if missing:
        sys.exit(f"{path}: not a GPT-2, {sorted(missing)} missing; found {sorted(tensors)[:8]}")
    if head is not None and not torch.equal(head, tensors["wte.weight"]):
        sys.exit(f"{path}: lm_head.weight differs from wte.weight; only a tied head can be taken over")
    width = tensors["wte.weight"].shape[1]
    is_linear = tensors["h.0.attn.c_attn.weight"].shape == (3 * width, width)
    for name in [name for name in tensors if is_linear and CONV1D.fullmatch(name)]:
        tensors[name] = tensors[name].t()
    for name in [name for name in tensors if BIASES.fullmatch(name)]:
        bias = name.removesuffix("weight") + "bias"
        if bias not in tensors:
            tensors[bias] = torch.zeros(tensors[name].shape[-1], dtype=tensors[name].dtype)
    return {"transformer." + name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def config_of(checkpoint, tensors, arguments):
    model_args = checkpoint.get("model_args") if isinstance(checkpoint.get("model_args"), dict) else {}
    n_head = arguments.n_head or model_args.get("n_head")
    if not n_head:
        sys.exit("the file does not say how many heads the model has; say it with --n-head")
    is_exact = bool(model_args) and not arguments.tanh_gelu  # model_args: nanoGPT, whose GELU is exact
    epoch = checkpoint.get("epoch", 0)
    return {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
        "vocab_size": tensors["transformer.wte.weight"].shape[0], "n_positions": tensors["transformer.wpe.weight"].shape[0],
        "n_embd": tensors["transformer.wte.weight"].shape[1], "n_head": n_head,
        "n_layer": 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("transformer.h.")),
        "activation_function": "gelu" if is_exact else "gelu_new", "layer_norm_epsilon": 1e-5,
        "resid_pdrop": model_args.get("dropout", 0.0), "tie_word_embeddings": True,
        "converted_from_pytorch": True, "epoch": epoch if isinstance(epoch, int) and epoch >= 0 else 0,
    }


def write_tokenizer(meta_path, directory):
    with open(meta_path, "rb") as file:
        meta = PlainData(file).load()
    tokenizer = {
        "version": "1.0", "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {str(token): int(i) for token, i in meta["stoi"].items()}, "unk_token": "<unk>"},
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path)
    parser.add_argument("--meta", help="nanoGPT's meta.pkl, for a vocabulary of characters")
    parser.add_argument("--tanh-gelu", action="store_true", help="compute the tanh form of GELU from now on")
    parser.add_argument("--n-head", type=int, help="where the file does not say it")
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(arguments.checkpoint)
    if not isinstance(checkpoint, dict):
        sys.exit(f"{arguments.checkpoint}: expected a dict, found {type(checkpoint).__name__}")
    tensors = gpt2_tensors(state_dict_of(checkpoint, arguments.checkpoint), arguments.checkpoint)
    config = config_of(checkpoint, tensors, arguments)
    arguments.output.mkdir(parents=True)  # refuses one that is there
    if arguments.meta:
        write_tokenizer(arguments.meta, arguments.output)
    (arguments.output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, arguments.output / "model.safetensors", metadata={"format": "pt"})
    print(f"已转换 {arguments.checkpoint} -> {arguments.output}", file=sys.stderr)
    if config["activation_function"] == "gelu":
        print("GELU is exact in this model: zhgpt import will refuse it, unless written again with --tanh-gelu.", file=sys.stderr)


main()
