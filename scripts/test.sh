#!/usr/bin/env bash
# Installs what is missing, builds, and runs the whole test suite. 安装依赖、编译并运行全部测试。
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/install_deps.sh libgtest-dev
bash scripts/build.sh all
ctest --no-tests=error --test-dir build --output-on-failure -j "$(nproc)"
bash scripts/check_libraries.sh
