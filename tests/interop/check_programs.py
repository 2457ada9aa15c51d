#!/usr/bin/env python3
"""The models that zhgpt writes, run by transformers and llama.cpp; theirs and PyTorch's, run by zhgpt.

  check_programs.py ZHGPT PRINT_LOGITS TEXT    (run by scripts/interop_check.sh)

Needs torch, transformers, safetensors, xllamacpp (llama.cpp with bindings). Trains a small model on TEXT,
prints what was compared and by how much it differs, and fails where that is more than rounding explains.
"""

import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
import xllamacpp
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

ZHGPT, PRINT_LOGITS, TEXT = sys.argv[1:]
TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
PROMPTS = ["", "春", "明月", "天地玄黄，", "春\n\n，秋"]
LENGTH = 30  # characters generated
# float32 logits of some ten, each a chain of some hundred sums rounded in another order: a few 1e-6 are expected.
MOST_LOGIT_ERROR = 1e-4


def run(*arguments, code=0):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    assert done.returncode == code, f"{arguments}: {done.returncode} {done.stderr}"
    return done


def zhgpt_logits(checkpoint, ids):
    return numpy.array(run(PRINT_LOGITS, checkpoint, *ids).stdout.split(), dtype=numpy.float64)


def zhgpt_text(checkpoint, prompt):
    return run(ZHGPT, "sample", checkpoint, "--greedy", "--no-interactive", "-p", prompt, "-n", LENGTH).stdout.removesuffix("\n")


def check_transformers(checkpoint, directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    vocab = tokenizer.get_vocab()
    worst, same = 0.0, 0
    for prompt in PROMPTS:
        ids = tokenizer(prompt).input_ids
        assert ids == [vocab.get(c, 0) for c in prompt], f"{prompt!r} is not split by character: {ids}"
        assert tokenizer.decode(ids) == prompt, f"{prompt!r} comes back as {tokenizer.decode(ids)!r}"
        ids = [tokenizer.eos_token_id, *ids]  # zhgpt begins every text so
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].double().numpy()
        worst = max(worst, numpy.abs(logits - zhgpt_logits(checkpoint, ids)).max())
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                             max_new_tokens=LENGTH)[0, 1:].tolist()
        text = tokenizer.decode(out, skip_special_tokens=True)
        assert text == zhgpt_text(checkpoint, prompt), f"{prompt!r}: {text!r} != {zhgpt_text(checkpoint, prompt)!r}"
        same += len(text) - len(prompt)
    assert worst <= MOST_LOGIT_ERROR, worst
    print(f"zhgpt -> transformers {transformers.__version__}, {len(PROMPTS)} prompts: split by character and back; logits differ by at "
          f"most {worst:.1e}; {same} characters chosen greedily, all equal")


def softmax(logits):
    e = numpy.exp(logits - logits.max())
    return e / e.sum()


def llama_server(path):
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_gpu_layers = str(path), 64, 0
    return xllamacpp.Server(params)


def check_llama(checkpoint, work, vocab):
    for dtype, most in (("f32", 1e-3), ("f16", 5e-3)):
        run(ZHGPT, "export", checkpoint, "-o", work / f"{dtype}.gguf", "--format", "gguf", "--dtype", dtype)
        server = llama_server(work / f"{dtype}.gguf")
        worst, same = 0.0, 0
        for prompt in PROMPTS:
            answer = server.handle_completions({"prompt": [1, prompt] if prompt else [1], "n_predict": LENGTH, "temperature": 0, "n_probs": 10,
                                                "logit_bias": [[0, False]]})
            ids = [1, *(vocab.get(c, 0) for c in prompt)]
            assert answer["usage"]["prompt_tokens"] == len(ids), f"{prompt!r} is not split by character: {answer['usage']}"
            for token in answer["choices"][0]["logprobs"]["content"]:
                logits = zhgpt_logits(checkpoint, ids)
                for other in token["top_logprobs"]:
                    worst = max(worst, abs(numpy.exp(other["logprob"]) - softmax(logits)[other["id"]]))
                logits[0] = -numpy.inf  # <unk>
                assert token["id"] == logits.argmax(), f"{dtype} {prompt!r}: {token['id']} != {logits.argmax()} after {ids}"
                ids.append(token["id"])
                same += 1
        assert worst <= most, worst
        print(f"zhgpt -> llama.cpp (xllamacpp {importlib.metadata.version('xllamacpp')}), {dtype}, {len(PROMPTS)} prompts: split by character; "
              f"{same} greedy tokens, all equal; the ten likeliest characters' probabilities differ by at most {worst:.1e}")


def check_from_transformers(work):
    """A Chinese GPT-2 with BERT's vocabulary, its weights random, in every dtype that transformers saves."""
    rows = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "##春", *"，。春夏秋冬天地玄黄宇宙洪荒"]
    kept = [1, 3, *range(6, len(rows))]
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        model = GPT2LMHeadModel(GPT2Config(vocab_size=len(rows), n_positions=32, n_embd=64, n_layer=3, n_head=4, bos_token_id=2,
                                           eos_token_id=3)).eval()
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.3)
        theirs, checkpoint = work / f"theirs-{dtype}", work / f"theirs-{dtype}.bin"
        model.to(dtype).save_pretrained(theirs)
        (theirs / "vocab.txt").write_text("\n".join(rows) + "\n")
        run(ZHGPT, "import", theirs, "-o", checkpoint)
        ids = [2, 9, 4, 11, 0, 6]  # ours
        with torch.no_grad():
            logits = model.float()(torch.tensor([[kept[i] for i in ids]])).logits[0, -1].double().numpy()[kept]
        error = numpy.abs(logits - zhgpt_logits(checkpoint, ids)).max()
        assert error <= MOST_LOGIT_ERROR, error
        print(f"transformers -> zhgpt, {str(dtype).removeprefix('torch.')}: {len(kept)} of {len(rows)} rows kept, their logits (up to "
              f"{numpy.abs(logits).max():.1f}) differ by at most {error:.1e}")


def nanogpt_forward(p, ids, n_head):
    """What nanoGPT computes with bias=False, but for GELU's tanh form."""
    x = p["transformer.wte.weight"][ids] + p["transformer.wpe.weight"][: len(ids)]
    T, C = x.shape
    norm = lambda x, name: F.layer_norm(x, (C,), p[f"transformer.{name}.weight"], None, 1e-5)
    for i in range(2):
        qkv = (norm(x, f"h.{i}.ln_1") @ p[f"transformer.h.{i}.attn.c_attn.weight"].T).view(T, 3, n_head, C // n_head)
        y = F.scaled_dot_product_attention(*qkv.permute(1, 2, 0, 3).unsqueeze(1), is_causal=True)[0]
        x = x + y.transpose(0, 1).reshape(T, C) @ p[f"transformer.h.{i}.attn.c_proj.weight"].T
        h = F.gelu(norm(x, f"h.{i}.ln_2") @ p[f"transformer.h.{i}.mlp.c_fc.weight"].T, approximate="tanh")
        x = x + h @ p[f"transformer.h.{i}.mlp.c_proj.weight"].T
    return norm(x, "ln_f") @ p["transformer.wte.weight"].T


def check_from_nanogpt(work):
    import pickle
    characters, C, T, n_head = "\n ，春夏秋冬", 16, 8, 2
    torch.manual_seed(0)
    shapes = {"wte.weight": (len(characters), C), "wpe.weight": (T, C), "ln_f.weight": (C,)}
    for i in range(2):
        shapes |= {f"h.{i}.ln_1.weight": (C,), f"h.{i}.ln_2.weight": (C,), f"h.{i}.attn.c_attn.weight": (3 * C, C),
                   f"h.{i}.attn.c_proj.weight": (C, C), f"h.{i}.mlp.c_fc.weight": (4 * C, C), f"h.{i}.mlp.c_proj.weight": (C, 4 * C)}
    p = {"transformer." + name: torch.randn(shape) for name, shape in shapes.items()}
    model = {"_orig_mod." + name: value for name, value in p.items()} | {"_orig_mod.lm_head.weight": p["transformer.wte.weight"]}
    torch.save({"model": model, "model_args": {"n_layer": 2, "n_head": n_head, "n_embd": C, "block_size": T, "bias": False,
                "vocab_size": len(characters), "dropout": 0.0}, "optimizer": {}, "iter_num": 5, "best_val_loss": torch.tensor(2.0)},
               work / "ckpt.pt")
    (work / "meta.pkl").write_bytes(pickle.dumps({"stoi": {c: i for i, c in enumerate(characters)}, "vocab_size": len(characters)}))
    convert = [sys.executable, TOOLS / "pt2safetensors.py", work / "ckpt.pt", "--meta", work / "meta.pkl"]
    said = run(*convert, "-o", work / "nano").stderr
    assert "已转换" in said and "--tanh-gelu" in said, said
    refused = run(ZHGPT, "import", work / "nano", "-o", work / "nano.bin", code=4).stderr
    assert "activation_function" in refused, refused
    run(*convert, "-o", work / "nano-tanh", "--tanh-gelu")
    run(ZHGPT, "import", work / "nano-tanh", "-o", work / "nano.bin")
    ids = [3, 4, 2, 0, 6]
    logits = nanogpt_forward(p, torch.tensor(ids), n_head)[-1].double().numpy()
    error = numpy.abs(logits - zhgpt_logits(work / "nano.bin", [i + 2 for i in ids])[2:]).max()
    assert error <= MOST_LOGIT_ERROR, error

    class Harmful:
        def __reduce__(self):
            return (print, ("a pickle ran code",))

    torch.save({"model": Harmful()}, work / "harmful.pt")
    done = run(sys.executable, TOOLS / "pt2safetensors.py", work / "harmful.pt", "-o", work / "harmful", code=1)
    assert "weights_only=True" in done.stderr and "ran code" not in done.stdout + done.stderr, done
    print(f"nanoGPT's .pt -> zhgpt: exact GELU refused by name; with --tanh-gelu logits (up to {numpy.abs(logits).max():.1f}) differ by "
          f"at most {error:.1e}; a pickle with code in it refused")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        checkpoint = work / "model.bin"
        run(ZHGPT, "train", TEXT, "-o", work / "run", "--n-layer", 3, "--n-head", 4, "--n-embd", 64, "--block-size", 64, "--batch-size", 8,
            "--max-iters", 300, "--learning-rate", 3e-3, "--device", "cpu")
        run(ZHGPT, "convert", work / "run", "-o", checkpoint)
        run(ZHGPT, "export", checkpoint, "-o", work / "hf", "--format", "hf")
        vocab = json.loads((work / "hf" / "tokenizer.json").read_text())["model"]["vocab"]
        check_transformers(checkpoint, work / "hf")
        check_llama(checkpoint, work, vocab)
        check_from_transformers(work)
        check_from_nanogpt(work)


main()
