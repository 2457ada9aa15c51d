#!/usr/bin/env bash
# Configures and builds the named targets in build/ (Release). Usage: scripts/build.sh TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."
log=build/build.log
mkdir -p build
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
if ! { cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release "${launcher[@]}" && cmake --build build --target "$@"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "The build failed; the whole log is $log. 构建失败，完整日志见 $log。" >&2
  exit 1
fi
