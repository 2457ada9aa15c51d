#!/usr/bin/env bash
# Proves on a GPU what elsewhere is proved on the host only, and measures: one command, under 9 minutes on 16 cores.
#   scripts/gpu_check.sh [--rehearse] [RESULTS_DIR=bench/results]
# Needs a compiler, CMake, Ninja, the CUDA toolkit and Python with torch; no network. The packages that a build takes come
# from gpu-bundle/ where scripts/gpu_bundle.sh has made one. Writes RESULTS_DIR/<gpu>.md and .json after every step, logs
# into out/gpu_check. A step that fails or takes too long does not stop the later ones; the exit code is the number of
# steps that failed. --rehearse runs the same on the CPU, without what needs a card.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

device=cuda dtypes=fp32,bf16 configs=micro,tiny,gpt2,small,gpt2_50k seconds_in_all=520
if [ "${1:-}" = --rehearse ]; then
  device=cpu dtypes=fp32 configs=micro seconds_in_all=900
  shift
fi
results=${1:-bench/results}
build=build-gpu
logs=out/gpu_check
rm -rf "$logs"
mkdir -p "$logs" "$results"
failed=0

report() { python3 scripts/gpu_report.py "$logs" "$results" "$device"; }

# step NAME LIMIT_S COMMAND...: stdout into NAME.out, stderr into NAME.log
step() {
  local name=$1 limit=$2 from=$SECONDS code=0
  shift 2
  printf '== %s\n' "$name" >&2
  timeout -k 5 "$limit" "$@" >"$logs/$name.out" 2>"$logs/$name.log" || code=$?
  [ "$code" -eq 0 ] || { failed=$((failed + 1)); tail -n 15 "$logs/$name.out" "$logs/$name.log" >&2; }
  printf '%s\t%s\t%s\t%s\n' "$name" "$code" $((SECONDS - from)) "$*" >>"$logs/steps.tsv"
  report
}
# The same, with the card only.
card_step() {
  if [ "$device" = cuda ]; then step "$@"; else printf '== %s: left out, no card\n' "$1" >&2; fi
}

build_all() {
  local options=(-DCMAKE_BUILD_TYPE=Release) capability
  [ -d gpu-bundle ] && options+=("-DCMAKE_PREFIX_PATH=$PWD/gpu-bundle/usr")
  command -v ccache >/dev/null && options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  local targets=(zhgpt bench_step test_base test_ops test_model test_train test_selftest test_io test_text test_cli)
  if [ "$device" = cuda ]; then  # for this card alone
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    [ "$capability" = 90 ] && capability=90a
    options+=(-DZHGPT_CUDA=ON "-DZHGPT_CUDA_TARGETS=-gencode=arch=compute_$capability,code=sm_$capability")
    targets+=(test_cuda test_machine_code)
  fi
  cmake -S . -B "$build" -G Ninja "${options[@]}" && cmake --build "$build" --target "${targets[@]}"
}

# What needs a GPU fails where it is skipped elsewhere; what runs kernels on the host has nothing to do with this card.
all_tests() {
  local require=0
  [ "$device" = cuda ] && require=1
  ZHGPT_REQUIRE_CUDA=$require ctest --test-dir "$build" --output-on-failure -j "$(nproc)" -E '^simt/|_NOT_BUILT'
}

# Every operation and a training step under each tool, all tools at once.
sanitizers() {
  local tool code=0 pids=()
  "$build/zhgpt" selftest --device cuda --quick >&2 || return  # products find their algorithms now, not under the tools
  for tool in memcheck racecheck initcheck synccheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 99 "$build/zhgpt" selftest --device cuda --quick \
      >"$logs/sanitizer-$tool.txt" 2>&1 &
    pids+=($!)
  done
  for tool in memcheck racecheck initcheck synccheck; do
    if wait "${pids[0]}"; then echo "$tool: clean"; else echo "$tool: exit code $?"; code=1; fi
    grep -h 'SUMMARY' "$logs/sanitizer-$tool.txt" || true
    pids=("${pids[@]:1}")
  done
  return $code
}
export -f build_all all_tests sanitizers
export device build logs

{
  git describe --always --dirty --abbrev=12 2>/dev/null || cat gpu-bundle/commit 2>/dev/null || echo unknown
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,memory.total --format=csv,noheader 2>/dev/null || echo none
  nvcc --version 2>/dev/null | tail -n 1
} >"$logs/machine.txt"

step build 220 bash -c build_all
step tests 150 bash -c all_tests
card_step kernels 60 "$build/tests/cuda/test_cuda"
step selftest 150 "$build/zhgpt" selftest --device "$device" --json
card_step sanitizers 120 bash -c sanitizers
step training 120 python3 scripts/gpu_training.py "$build/zhgpt" data/sample_zh.txt "$logs/runs" --device "$device" --dtypes "$dtypes"
left=$((seconds_in_all - SECONDS))
if [ "$left" -ge 30 ]; then
  step compare "$left" python3 bench/gpu_compare.py --ours "$build/bench_step" --device "$device" --configs "$configs" \
    --selftest "$logs/selftest.out" --seconds-in-all $((left - 10)) --out "$logs/compare.json"
else
  step compare 1 bash -c 'echo "no time was left"; exit 1'
fi
if [ "$device" = cuda ]; then
  nvidia-smi --query-gpu=clocks.sm,clocks.mem,temperature.gpu --format=csv,noheader >>"$logs/machine.txt"
  report
fi
printf '%s steps failed, %s s in all; see %s\n' "$failed" "$SECONDS" "$results" >&2
exit "$failed"
