#!/usr/bin/env bash
# check.sh PROGRAM COMPILER EXPECTED: counts the instructions of one training step, in all and by operation, as the
# difference of a long and a short run of PROGRAM, and compares them with COMPILER's lines in EXPECTED. One more than 5 %
# off is a failure; without such lines, or without what it takes to count, the test is skipped (77).
set -euo pipefail
program=$1 compiler=$2 expected=$3
short=5 long=25 # steps

skip() {
  echo "skipped: $1"
  exit 77
}
command -v valgrind >/dev/null || skip "no valgrind; bash scripts/install_deps.sh valgrind"
valgrind --tool=none /bin/true >/dev/null 2>&1 || skip "valgrind does not run here"
grep -qw avx2 /proc/cpuinfo && grep -qw bmi2 /proc/cpuinfo || skip "this processor has no AVX2, for which the program is compiled"

# The C library sets memory by one instruction that counts once a byte where the processor is quick at that; nowhere here.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS,-FSRM

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "WHAT INSTRUCTIONS" of a run of so many steps. An operation's are those of the function that executes it and of all
# that it calls.
instructions_of() {
  local out=$scratch/$1.out
  if ! valgrind --tool=callgrind --callgrind-out-file="$out" "$program" "$1" >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    return 1
  fi
  awk '$1 == "totals:" { print "step", $2 }' "$out"
  callgrind_annotate --inclusive=yes --threshold=100 "$out" | tr -d , | sed -nE \
    -e 's/^ *([0-9]+) .*[: ]zhgpt::cpu::execute<float>\(zhgpt::cpu::Context& zhgpt::([A-Za-z]+) const&\) \[.*/\2 \1/p' \
    -e 's/^ *([0-9]+) .*:zhgpt::CpuBackend::zero_bytes\(void\* long\) \[.*/zero \1/p'
}
instructions_of $short >"$scratch/few"
instructions_of $long >"$scratch/many"
# What is less than half a per cent of a step is left out.
awk -v steps=$((long - short)) 'FNR == NR { few[$1] = $2; next }
  { n = int(($2 - few[$1]) / steps) } $1 == "step" { least = n / 200 } n >= least { print $1, n }' \
  "$scratch/few" "$scratch/many" >"$scratch/counted"
sed "s/^/$compiler /" "$scratch/counted"
grep -q "^$compiler " "$expected" || skip "no figures of $compiler in $expected. To have some, add the lines above, each with a note."

awk -v compiler="$compiler" -v file="$expected" -v program="$program" -v long=$long '
  FNR == NR && $1 != compiler { next }
  FNR == NR { want[$2] = $3; noted[$2] = NF > 3; next }
  { got[$1] = $2 }
  function complain(what, text) {
    print what ": " text
    wrong = 1
  }
  END {
    for (what in want) {
      if (!noted[what]) complain(what, "its line has no note. Say there since when and why the figure is what it is.")
      if (100 * got[what] > 105 * want[what]) complain(what, want[what] " instructions were expected, " got[what] " are MORE")
      if (100 * got[what] < 95 * want[what]) complain(what, want[what] " instructions were expected, " got[what] + 0 " are less")
    }
    for (what in got) if (!(what in want)) complain(what, got[what] " instructions, and no line.")
    if (!wrong) print "all within 5 % of " file
    else print "More: find the cause (valgrind --tool=callgrind " program " " long "; callgrind_annotate callgrind.out.*); if it is" \
               "\nworth that, or when it is less, put the new line into " file ", with the reason as its note."
    exit wrong
  }' "$expected" "$scratch/counted"
