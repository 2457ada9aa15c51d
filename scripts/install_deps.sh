#!/usr/bin/env bash
# Installs the packages that zhgpt is built from, where they are missing. Debian 12 or Ubuntu 24.04 and later; asks
# sudo when not root. With every package present it does nothing and needs neither root nor network. Where there is
# cuDNN, the headers of its frontend are put into .deps, from PyPI.
set -euo pipefail

# cuDNN's attention is compiled from the headers of its frontend, which Debian lacks. Without them zhgpt builds too.
install_cudnn_frontend() {
  [ -e "${CUDA_PATH:-/usr/local/cuda}/include/cudnn.h" ] || [ -e /usr/include/cudnn.h ] || return 0
  [ ! -e "$deps/include/cudnn_frontend.h" ] || return 0
  local wheel
  wheel=$(mktemp -d)
  if python3 -m pip download -q --no-deps -d "$wheel" 'nvidia-cudnn-frontend~=1.32' >/dev/null 2>&1; then
    mkdir -p "$deps"
    python3 -c 'import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("include/")])' "$wheel"/*.whl "$deps"
  else
    echo "cudnn-frontend could not be had from PyPI: --attention cudnn is left out. 未能取得 cudnn-frontend，将不含 --attention cudnn。" >&2
  fi
  rm -rf "$wheel"
}
deps=$(cd "$(dirname "$0")/.." && pwd)/.deps
install_cudnn_frontend

packages=(g++ cmake ninja-build pkg-config libutf8proc-dev libuchardet-dev libxxhash-dev
  liblzma-dev libedit-dev libopencc-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev fortunes-zh "$@")

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing / 正在安装: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Run this as root once, or install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
       apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get failed; see above. 安装失败，原因见上。" >&2
  exit 1
fi
