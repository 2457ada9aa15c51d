#!/usr/bin/env bash
# Runs zhgpt's models in transformers and llama.cpp, and theirs in zhgpt (tests/interop/check_programs.py). Minutes, and
# some GB from PyPI: by hand, not by scripts/test.sh. Its output belongs into docs/interop.md.
#   scripts/interop_check.sh [PYTHON]
# PYTHON: one that has torch, transformers, safetensors and xllamacpp; else they are put into .deps/interop.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/build.sh zhgpt print_logits
python=${1:-.deps/interop/bin/python}
if [ $# -eq 0 ] && ! "$python" -c 'import torch, transformers, xllamacpp' 2>/dev/null; then
  python3 -m venv .deps/interop
  .deps/interop/bin/pip install -q torch transformers safetensors xllamacpp
fi
"$python" tests/interop/check_programs.py build/zhgpt build/tests/print_logits data/sample_zh.txt
