#!/usr/bin/env bash
# Installs what is missing, builds, and runs the whole test suite. 安装依赖、编译并运行全部测试。
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/install_deps.sh libgtest-dev tmux
# For the gate on instructions; without it that test is skipped, and says so.
bash scripts/install_deps.sh valgrind ||
  echo "No valgrind could be installed: instructions are not counted. 未能安装 valgrind，将跳过指令计数的测试。" >&2
# A browser, to look at the pages of `zhgpt report`; without one that test is skipped, and says so.
bash scripts/install_deps.sh python3 chromium fonts-wqy-microhei ||
  echo "No Chromium could be installed: the report's page is not opened. 未能安装 Chromium，将跳过报告页面的测试。" >&2
bash scripts/build.sh all
ctest --no-tests=error --test-dir build --output-on-failure -j "$(nproc)"
bash scripts/check_libraries.sh
