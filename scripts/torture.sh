#!/usr/bin/env bash
# The long form of the tests that try to break saving: damage, hostile files, kills, power cuts, full disks, no memory.
# 长时间的存盘可靠性测试。
#   scripts/torture.sh [MINUTES=10]
# Prints a table of what was tried and what was lost; the log stays in out/torture/. Ends with the first failing program's
# exit code. What the figures mean: docs/reliability.md.
set -euo pipefail
minutes=${1:-10}
cd "$(dirname "$0")/.."
bash scripts/build.sh test_io test_torture
mkdir -p out/torture
# About ten tests go on until their time is up; the others run once, as finely as they can.
export ZHGPT_TORTURE_SECONDS=$((minutes * 6))
status=0
build/tests/test_io --gtest_filter='*Damage*:*Hostile*:*Attack*' >out/torture/io.log 2>&1 || status=$?
build/tests/test_torture >out/torture/torture.log 2>&1 || status=$?
grep -h '^figure: ' out/torture/io.log out/torture/torture.log | sed 's/^figure: //' | sort -V |
  awk -F ' [|] ' '{ printf "%-5s %-72s %-48s %12s\n", $1, $2, $3, $4 }'
grep -h '^\[  FAILED  \]' out/torture/io.log out/torture/torture.log || true
exit "$status"
