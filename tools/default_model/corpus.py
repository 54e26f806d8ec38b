"""Makes the prose corpus: download, extraction, cleaning, split.

    python3 corpus.py WORKDIR

Needs a Debian 12 system (apt-get and dpkg). Writes WORKDIR/prose.jsonl, one
document a line: {"source", "split", "repeat", "text"}, and WORKDIR/packages.tsv,
the packages with their versions, licences and sizes after cleaning.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

import readers
from sources import SOURCES, WORDNET, Source

HELD_OUT_PER_MILLE = 12     # documents kept out of training
RUN = 12                    # words; an added document sharing so many is dropped
LONGEST_DOCUMENT = 12_000   # characters; longer ones are cut at a paragraph

PROSE_END = re.compile(r"[.!?:;\"'”’)]$")
NOT_PROSE = re.compile(r"[{}|\\<>=^~_@#*\[\]]|\.\.\.\.|::|//")
TIDY = str.maketrans({"\u00a0": " ", "\u2019": "'", "\u2018": "'", "\u201c": '"',
                      "\u201d": '"', "\u2026": "...", "\u200b": "", "\u00ad": "",
                      "\u2013": "-", "\u2014": "-", "¶": ""})


def fetch(work: Path) -> dict[str, str]:
    """Downloads and unpacks the packages; returns their versions."""
    debs, tree = work / "debs", work / "tree"
    debs.mkdir(parents=True, exist_ok=True)
    versions = {}
    for source in [*SOURCES, WORDNET]:
        if not list(debs.glob(f"{source.package}_*.deb")):
            subprocess.run(["apt-get", "-q", "download", source.package],
                           cwd=debs, check=True)
        deb = max(debs.glob(f"{source.package}_*.deb"))
        versions[source.package] = deb.name.split("_")[1].replace("%3a", ":")
        target = tree / source.package
        if not target.exists():
            subprocess.run(["dpkg", "-x", str(deb), str(target)], check=True)
    return versions


def is_prose(paragraph: str) -> bool:
    """True for a paragraph of sentences rather than code, lists or tables."""
    letters = sum(c.isalpha() or c == " " for c in paragraph)
    words = paragraph.split()
    return (len(paragraph) >= 30 and len(words) >= 6
            and letters > 0.90 * len(paragraph)
            and PROSE_END.search(paragraph) is not None
            and len(NOT_PROSE.findall(paragraph)) <= len(words) // 25
            and max(map(len, words)) < 30)


def documents(job: tuple[Source, Path]) -> list[list[str]]:
    """The documents of one source, each the list of its paragraphs of prose."""
    source, tree = job
    read = getattr(readers, source.reader)
    found = []
    for path in sorted((tree / source.package).glob(source.pattern)):
        if path.is_file() and not path.is_symlink():
            raw = path.read_bytes()
            for document in read(gzip.decompress(raw) if path.suffix in (".gz", ".dz") else raw):
                tidy = [p.translate(TIDY).strip() for p in document]
                found.append([p for p in tidy if is_prose(p)])
    return found


def cleaned(paragraphs: list[str], seen: set[bytes]) -> Iterator[str]:
    """The document in pieces of bounded length, without what was seen before."""
    kept: list[str] = []
    size = 0
    for paragraph in paragraphs:
        key = hashlib.blake2b(paragraph.lower().encode(), digest_size=10).digest()
        if key in seen:
            continue
        seen.add(key)
        kept.append(paragraph)
        size += len(paragraph)
        if size > LONGEST_DOCUMENT:
            yield "\n\n".join(kept)
            kept, size = [], 0
    if size > 200:
        yield "\n\n".join(kept)


def runs(text: str) -> Iterator[str]:
    """The runs of RUN words of a text, in lower case and without marks."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    for start in range(len(words) - RUN + 1):
        yield " ".join(words[start:start + RUN])


def shares(text: str, held_out: set[str]) -> bool:
    """True where a text repeats a run of words that was held out."""
    return any(run in held_out for run in runs(text))


def main() -> None:
    work = Path(sys.argv[1])
    versions = fetch(work)
    seen: set[bytes] = set()
    held_out: set[str] = set()      # word runs of the held-out documents
    totals: dict[str, int] = defaultdict(int)
    jobs = [(source, work / "tree") for source in SOURCES]
    with Pool() as pool, open(work / "prose.jsonl", "w", encoding="utf-8") as out:
        for source, found in zip(SOURCES, pool.imap(documents, jobs)):
            for paragraphs in found:
                for text in cleaned(paragraphs, seen):
                    digest = int(hashlib.sha256(text[:500].encode()).hexdigest(), 16)
                    valid = source.held_out and digest % 1000 < HELD_OUT_PER_MILLE
                    if not valid and not source.held_out and shares(text, held_out):
                        continue
                    if valid:
                        held_out.update(runs(text))
                    split = "valid" if valid else "train"
                    totals[source.package] += len(text.encode())
                    json.dump({"source": source.package, "split": split,
                               "repeat": source.repeat, "text": text}, out,
                              ensure_ascii=False)
                    out.write("\n")
    with open(work / "packages.tsv", "w", encoding="utf-8") as out:
        for source in [*SOURCES, WORDNET]:
            out.write(f"{source.package}\t{versions[source.package]}\t"
                      f"{source.licence}\t{totals[source.package]}\t{source.repeat}\n")


if __name__ == "__main__":
    main()
