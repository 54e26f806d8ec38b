"""Meanings of common words, from the WordNet data files."""

import re
from pathlib import Path

SUFFIX = {"1": "noun", "2": "verb", "3": "adj"}
FEWEST_USES = 7         # occurrences in WordNet's counted texts
LONGEST_GLOSS = 110
VULGAR = re.compile(r"sex|slang|vulgar|offensive|obscene|genital|drug|excre|prostitut|"
                    r"disparag|ethnic|naked|kill|murder|nazi|breast", re.IGNORECASE)


def _glosses(folder: Path, part: str) -> dict[str, tuple[str, str]]:
    """By synset offset: its first word and its cleaned gloss."""
    found = {}
    for line in (folder / f"data.{part}").read_text().splitlines():
        if line.startswith("  "):
            continue
        head, gloss = line.split(" | ", 1)
        gloss = re.split(r'; "|; \(|;', gloss)[0]
        gloss = " ".join(re.sub(r"\([^)]*\)", "", gloss).split()).strip(" :")
        found[head[:8]] = (head.split()[4], gloss)
    return found


def meanings(folder: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    """(word, part of speech, meaning) of common words, and the rarer words.

    Takes each word's most used sense and leaves the word out when that sense
    is unsuited to a short plain answer.
    """
    glosses = {part: _glosses(folder, part) for part in SUFFIX.values()}
    senses: dict[str, list[tuple[int, str, str]]] = {}
    for part in SUFFIX.values():
        for line in (folder / f"index.{part}").read_text().splitlines():
            fields = line.split()
            if line.startswith("  ") or not fields[0].isalpha() or len(fields[0]) < 3:
                continue
            senses.setdefault(fields[0], []).append(
                (0, part, fields[-int(fields[2])]))
    uses: dict[tuple[str, str], int] = {}
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split()
        word, rest = key.split("%")
        part = SUFFIX.get(rest[0])
        if part:
            uses[word, part] = uses.get((word, part), 0) + int(count)
    common, rare = [], []
    for word, candidates in sorted(senses.items()):
        part, offset = max(((p, o) for _, p, o in candidates),
                           key=lambda c: uses.get((word, c[0]), 0))
        gloss = glosses[part][offset][1]
        if VULGAR.search(gloss) or VULGAR.search(word):
            continue
        if uses.get((word, part), 0) < FEWEST_USES:
            if part == "noun" and word.islower():
                rare.append(word)
        elif 8 < len(gloss) < LONGEST_GLOSS and not re.search(rf"\b{word}", gloss):
            common.append((word, part, gloss))
    return common, rare
