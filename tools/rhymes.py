#!/usr/bin/env python3
"""Writes src/quality/rhymes.inc from Unihan_Readings.txt (Debian: unicode-data, /usr/share/unicode/*.bz2).

    bzcat /usr/share/unicode/Unihan_Readings.txt.bz2 | python3 tools/rhymes.py > src/quality/rhymes.inc

One letter a character: its rhyme among the fourteen of the Chinese New Rhymes (中华新韵，2005), 'a' the first, by
the first reading of kMandarin, without its tone; '.' where there is none.
"""
import re
import sys
import unicodedata

RHYMES = ["a ia ua", "o e uo io", "ê ie üe", "ai uai", "ei ui", "ao iao", "ou iu", "an ian uan üan",
          "en in un ün", "ang iang uang", "eng ing ong iong", "i er ü", "-i", "u"]
LETTERS = {final: chr(ord("a") + i) for i, finals in enumerate(RHYMES) for final in finals.split()}
# Spelt another way where no consonant comes before.
ALONE = {"yi": "i", "yin": "in", "ying": "ing", "yu": "ü", "yue": "üe", "yuan": "üan", "yun": "ün", "ye": "ie",
         "ya": "ia", "yao": "iao", "you": "iu", "yan": "ian", "yang": "iang", "yong": "iong", "yo": "io",
         "wu": "u", "wa": "ua", "wo": "uo", "wai": "uai", "wei": "ui", "wan": "uan", "wen": "un", "wang": "uang",
         "weng": "eng", "er": "er"}
TONES = "\u0304\u0301\u030c\u0300"


def letter(reading):
    plain = unicodedata.normalize("NFC", "".join(c for c in unicodedata.normalize("NFD", reading) if c not in TONES))
    if plain in ALONE:
        return LETTERS[ALONE[plain]]
    initial, final = re.fullmatch(r"([zcs]h|[bpmfdtnlgkhjqxrzcs]?)(.*)", plain).groups()
    if final == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        final = "-i"
    if initial in ("j", "q", "x") and final.startswith("u"):
        final = "ü" + final[1:]
    return LETTERS.get(final, ".")  # m, n and ng alone have no rhyme


letters = ["."] * (0x9FFF - 0x4E00 + 1)
version = "?"
for line in sys.stdin:
    if line.startswith("# Unicode version:"):
        version = line.split(":")[1].strip()
    match = re.match(r"U\+([0-9A-F]+)\tkMandarin\t(\S+)", line)
    if match and 0x4E00 <= int(match[1], 16) <= 0x9FFF:
        letters[int(match[1], 16) - 0x4E00] = letter(match[2])
print(f"// Made by tools/rhymes.py from Unihan_Readings.txt, kMandarin, of Unicode {version}; do not edit.")
print("// The readings are © Unicode, Inc., under the Unicode License, https://www.unicode.org/license.txt.")
for begin in range(0, len(letters), 104):
    print(f'"{"".join(letters[begin:begin + 104])}"')
