#!/usr/bin/env bash
# From a bare Debian or Ubuntu machine to a model that writes poems, in a few minutes.
# 从一台空机器到会写诗的模型，只需几分钟。
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/demo}

step() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

step "1/4 Packages · 安装依赖"
bash scripts/install_deps.sh
step "2/4 Build · 编译"
bash scripts/build.sh zhgpt
mkdir -p out
[ -s out/poems.txt ] || sh data/prepare_fortunes.sh out/poems.txt
step "3/4 Train · 训练（约两分钟；Ctrl-C 会保存，再次运行即可继续）"
if [ -e "$out/latest" ]; then
  # A second run goes on where the first stopped; exit code 2 says that nothing is left to do.
  build/zhgpt resume "$out" || [ $? -eq 2 ]
else
  build/zhgpt train out/poems.txt --out-dir "$out" --epochs 26 --learning-rate 2e-3 --weight-decay 2 --dropout 0.1
fi
step "4/4 Three poems · 三首诗"
build/zhgpt sample "$out" --from best --no-interactive --num-samples 3 --max-chars 120
cat >&2 <<NEXT

Try next · 接下来可以试试：
  build/zhgpt sample $out                       # 自己起个头，让它续写
  build/zhgpt resume $out --epochs 52           # 再训练一会儿
  build/zhgpt train 你的文本.txt --out-dir out/mine   # 换成你自己的语料
NEXT
