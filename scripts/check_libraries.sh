#!/usr/bin/env bash
# Reads what zhgpt writes with the libraries that others use: safetensors, tokenizers, gguf, msgpack (tests/interop).
#   scripts/check_libraries.sh [ZHGPT=build/zhgpt]
# They come from PyPI into .deps/python, once. Without network or Python's venv the check says that it was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
zhgpt=$(realpath "${1:-build/zhgpt}")
python=.deps/python

if ! "$python/bin/python" -c 'import gguf, msgpack, safetensors, tokenizers' 2>/dev/null; then
  mkdir -p .deps
  if ! { python3 -m venv "$python" && "$python/bin/pip" install -q gguf msgpack safetensors tokenizers; } >.deps/pip.log 2>&1; then
    tail -n 1 .deps/pip.log >&2
    echo "SKIPPED: formats against the libraries themselves, since they could not be had from PyPI. 已跳过：无法从 PyPI 取得用于对照的库。" >&2
    exit 0
  fi
fi
"$python/bin/python" tests/interop/check_libraries.py "$zhgpt" data/sample_zh.txt
