#!/bin/sh
# Turns Debian's fortunes-zh (唐诗三百首 tang300 and 宋诗 song100) into a corpus: one poem a block, title and author on
# its first lines, blocks separated by one blank line, UTF-8.
#
# Usage: prepare_fortunes.sh OUT.txt [DIRECTORY]      (the directory defaults to /usr/share/games/fortunes)
set -eu
export LC_ALL=C  # awk is to see bytes, whatever the locale

out=${1:?usage: $0 OUT.txt [DIRECTORY]}
directory=${2:-/usr/share/games/fortunes}
for name in tang300 song100; do
  if [ ! -r "$directory/$name" ]; then
    echo "$0: $directory/$name: not found; on Debian: apt-get install fortunes-zh" >&2
    exit 1
  fi
done

# Terminal colours go, and the spaces (ideographic and no-break ones too) at both ends of each line. What remains are
# lines, and between two poems a line with nothing but %.
awk '
  FNR == 1 { between = 1 }
  {
    gsub(/\033\[[0-9;]*[A-Za-z]/, "")
    sub(/^(\343\200\200|\302\240|[ \t\r])+/, "")
    sub(/(\343\200\200|\302\240|[ \t\r])+$/, "")
  }
  $0 == "%" { between = 1; next }
  $0 == "" { next }
  # Both collections get one form of heading, "《title》" and "作者：name", without the years of birth and death.
  /^题目/ { sub(/^题目(:|：)/, "") }
  /^作者/ {
    sub(/^作者(:|：)/, "作者：")
    years = index($0, "（")
    if (years) $0 = substr($0, 1, years - 1)
  }
  {
    if (between && printed) print ""
    between = 0
    printed = 1
    print
  }
' "$directory/tang300" "$directory/song100" > "$out.tmp"
mv "$out.tmp" "$out"
