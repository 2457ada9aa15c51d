#!/bin/sh
# Turns Debian's fortunes-zh into a corpus of classical verse: 唐诗三百首 (tang300), 宋诗 (song100), and from the mixed
# collection (chinese) the whole poems signed with author and title, most of them 宋词. One poem a block, title and author
# on its first lines, blocks separated by one blank line, UTF-8.
#
# Usage: prepare_fortunes.sh OUT.txt [DIRECTORY]      (the directory defaults to /usr/share/games/fortunes)
set -eu
export LC_ALL=C  # awk is to see bytes, whatever the locale: a Han character or mark is three of them

out=${1:?usage: $0 OUT.txt [DIRECTORY]}
directory=${2:-/usr/share/games/fortunes}
for name in tang300 song100 chinese; do
  if [ ! -r "$directory/$name" ]; then
    echo "$0: $directory/$name: not found; on Debian: apt-get install fortunes-zh" >&2
    exit 1
  fi
done

# Terminal colours go, and the spaces (ideographic and no-break ones too) at both ends of each line. What remains are
# lines, and between two poems a line with nothing but %.
awk '
  # Of the mixed collection: gives lines 1 to n the heading of the others. False when they are no poem, or only a few
  # verses of one, or hold a verse that came before: no text may be in training and in validation both.
  function is_new_poem(  author, title, text, i) {
    if (line[n] !~ /^-- ?[^《]+《[^《》]+》$/) return 0
    author = title = line[n]
    sub(/^-- ?/, "", author)
    sub(/《.*/, "", author)
    sub(/^[^《]*/, "", title)
    gsub(/-|·/, "・", title)
    # Not the names that lost a rare character on their way here, nor the two who wrote prose.
    if (length(author) < 6 || author ~ /鲁迅|冰心/) return 0
    for (i = 1; i < n; ++i) text = text line[i]
    if (length(text) < 100 || text ~ /[ -~]/) return 0
    verses = split(text, verse, /，|。|！|？|；|：|、/)
    for (i = 1; i <= verses; ++i) {
      if (length(verse[i]) > 30 || verse[i] in known) return 0
    }
    for (i = n + 1; i > 2; --i) line[i] = line[i - 2]
    line[1] = title
    line[2] = "作者：" author
    ++n
    return 1
  }
  function end_of_poem(  i, j, verse, verses) {
    if (n > 0 && (!is_mixed || is_new_poem())) {
      if (printed++) print ""
      for (i = 1; i <= n; ++i) {
        print line[i]
        verses = split(line[i], verse, /，|。|！|？|；|：|、/)
        for (j = 1; j <= verses; ++j) if (i > 2 && length(verse[j]) >= 15) known[verse[j]] = 1
      }
    }
    n = 0
  }
  FNR == 1 { end_of_poem() }
  {
    gsub(/\033\[[0-9;]*[A-Za-z]/, "")
    sub(/^(\343\200\200|\302\240|[ \t\r])+/, "")
    sub(/(\343\200\200|\302\240|[ \t\r])+$/, "")
  }
  $0 == "%" { end_of_poem(); next }
  $0 == "" { next }
  # The first two collections get one form of heading, "《title》" and "作者：name", without years of birth and death.
  /^题目/ { sub(/^题目(:|：)/, "") }
  /^作者/ {
    sub(/^作者(:|：)/, "作者：")
    years = index($0, "（")
    if (years) $0 = substr($0, 1, years - 1)
  }
  {
    is_mixed = FILENAME ~ /chinese$/
    line[++n] = $0
  }
  END { end_of_poem() }
' "$directory/tang300" "$directory/song100" "$directory/chinese" > "$out.tmp"
mv "$out.tmp" "$out"
