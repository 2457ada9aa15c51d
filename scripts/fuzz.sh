#!/bin/sh
# Fuzzes the readers of untrusted files with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/fuzz.sh [SECONDS=60] [TARGET=bin]     targets: bin json mpk safetensors key_values vocabulary text
# Two builds run: one as users have it, one that ignores hashes, so that the fuzzer gets behind them to the structure.
# Inputs to begin with are the target's seeds and tests/fuzz/corpus/TARGET. The corpus and what is found stay in
# out/fuzz/TARGET; a finding ends the script with its exit code.
set -eu
seconds=${1:-60}
target=${2:-bin}
cd "$(dirname "$0")/.."
out=out/fuzz/$target
kept=tests/fuzz/corpus/$target
source=tests/fuzz/fuzz_$target.cpp
[ -f "$source" ] || source=tests/fuzz/fuzz_checkpoint.cpp
mkdir -p "$out/corpus"

build() { # NAME FLAGS...
  name=$1
  shift
  ${CLANGXX:-clang++} -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$@" \
    -DZHGPT_FUZZ_FORMAT="\"$target\"" -Iinclude -Isrc -Itests "$source" tests/fuzz/libfuzzer.cpp \
    src/base/fingerprint.cpp src/base/key_values.cpp src/base/messages.cpp src/base/tensor.cpp src/io/*.cpp \
    src/text/decoder.cpp src/text/encoding.cpp src/text/tokenizer.cpp src/text/utf8.cpp \
    -lxxhash -luchardet -o "$out/$name"
}
build hashed
build unhashed -DZHGPT_FUZZ_IGNORE_HASHES

ZHGPT_FUZZ_SEEDS=$out/corpus "$out/hashed"
for name in hashed unhashed; do
  echo "== $target, $name, $seconds s"
  status=0
  "$out/$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=512 -timeout=5 -print_final_stats=1 \
    -artifact_prefix="$out/$name-" "$out/corpus" "$kept" >"$out/$name.log" 2>&1 || status=$?
  tail -n 7 "$out/$name.log"
  [ "$status" -eq 0 ] || exit "$status"
done
