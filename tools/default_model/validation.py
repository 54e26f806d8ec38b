"""Writes the held-out public-domain prose for perplexity runs.

    python3 validation.py WORKDIR validation.txt

Takes the documents that corpus.py put into the validation split and whose
source is in the public domain.
"""

import json
import sys
from pathlib import Path

from sources import SOURCES


def main() -> None:
    free = {s.package for s in SOURCES if s.licence == "public domain"}
    with open(Path(sys.argv[1]) / "prose.jsonl", encoding="utf-8") as lines:
        records = map(json.loads, lines)
        texts = [r["text"] for r in records if r["split"] == "valid" and r["source"] in free]
    Path(sys.argv[2]).write_text("\n\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
