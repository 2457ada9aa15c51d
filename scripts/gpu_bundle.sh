#!/usr/bin/env bash
# Packs what zhgpt is built from, and a GPU machine without network may lack, into a folder (about 8 MB).
#   scripts/gpu_bundle.sh [DIR=gpu-bundle]
# Carry it along with the source tree and build with -DCMAKE_PREFIX_PATH=DIR/usr, as scripts/gpu_check.sh does. The
# machine itself needs a compiler, CMake, Ninja and the CUDA toolkit. Needs apt-get and the network here, not root.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-gpu-bundle}

# The -dev packages of install_deps.sh, GoogleTest, and pkg-config with its library.
packages=(libutf8proc-dev libuchardet-dev libxxhash-dev liblzma-dev libedit-dev libopencc-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev
  libtomlplusplus3 libedit2 libbsd0 libmd0 libopencc1.1 libopencc-data libmarisa0 libgtest-dev pkgconf-bin libpkgconf3)

rm -rf "$dir"
mkdir -p "$dir/debs"
(cd "$dir/debs" && apt-get -q download "${packages[@]}" 2>../log) || { tail -n 20 "$dir/log" >&2; exit 1; }
for package in "$dir"/debs/*.deb; do dpkg-deb -x "$package" "$dir"; done
[ ! -d .deps/include ] || cp -r .deps/include "$dir/usr/"  # cuDNN's frontend
rm -rf "$dir/debs" "$dir/log" "$dir/usr/share/doc" "$dir/usr/share/man"

libraries=$(dirname "$(find "$dir/usr/lib" -name libgtest.a)")
# Static where there is a choice: a .so of a -dev package points at files that stay behind.
for archive in "$libraries"/*.a; do rm -f "${archive%.a}.so"; done
# The folder may stand anywhere.
for file in "$libraries"/pkgconfig/*.pc; do
  sed -i -e '1i prefix=${pcfiledir}/../../..' -e '/^prefix=/d' -e 's|=/usr|=${prefix}|' "$file"
done
cat >"$dir/usr/bin/pkg-config" <<'SCRIPT'
#!/bin/sh
usr=$(dirname "$(dirname "$(readlink -f "$0")")")
LD_LIBRARY_PATH=$(echo "$usr"/lib/*-linux-gnu) exec "$usr/bin/pkgconf" "$@"
SCRIPT
chmod +x "$dir/usr/bin/pkg-config"
git describe --always --dirty --abbrev=12 >"$dir/commit"  # for a copy of the tree without its history
du -sh "$dir"
