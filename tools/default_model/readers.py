"""Readers: from a file of a Debian package to documents of plain prose.

Every reader takes the file's bytes and yields documents, each a list of raw
paragraphs. corpus.py then keeps only the paragraphs that read as prose.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser

Document = list[str]

SKIPPED_TAGS = {"script", "style", "nav", "pre", "table", "head", "footer",
                "info", "code-block", "svg", "button", "form"}
BLOCK_TAGS = {"p", "li", "dd", "dt", "h1", "h2", "h3", "h4", "div", "br", "td",
              "title", "item", "note", "section", "blockquote", "ul", "ol", "dl"}
ZLIB_START = re.compile(b"\x78[\x01\x5e\x9c\xda]")


class _TextOfHtml(HTMLParser):
    """Collects the text of block elements, leaving out code and navigation."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: Document = []
        self._piece: list[str] = []
        self._skipping = 0

    def _flush(self) -> None:
        text = " ".join("".join(self._piece).split())
        if text:
            self.paragraphs.append(text)
        self._piece = []

    def handle_starttag(self, tag, attrs):
        if tag in SKIPPED_TAGS:
            self._skipping += 1
        elif tag in BLOCK_TAGS:
            self._flush()

    def handle_endtag(self, tag):
        if tag in SKIPPED_TAGS:
            self._skipping = max(0, self._skipping - 1)
        elif tag in BLOCK_TAGS:
            self._flush()

    def handle_data(self, data):
        if not self._skipping:
            self._piece.append(data)

    def close(self):
        super().close()
        self._flush()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="ignore")


def html(raw: bytes) -> Iterator[Document]:
    """HTML pages and Mallard pages (the GNOME help format)."""
    parser = _TextOfHtml()
    parser.feed(_text(raw))
    parser.close()
    yield parser.paragraphs


def paragraphs(raw: bytes) -> Iterator[Document]:
    """Plain text and light markup: paragraphs between blank lines."""
    text = re.sub(r":\w+:`([^`<]*)(?:<[^`]*>)?`", r"\1", _text(raw))
    text = re.sub(r"``([^`]*)``", r"\1", text)
    blocks = re.split(r"\n\s*\n", text)
    yield [" ".join(b.split()) for b in blocks if not b.startswith((" ", "\t", ".."))]


def pod(raw: bytes) -> Iterator[Document]:
    """Perl's POD: commands and verbatim blocks go, formatting codes unwrap."""
    text = _text(raw)
    for _ in range(3):
        text = re.sub(r"[XZ]<[^<>]*>", "", text)
        text = re.sub(r"L<(?:[^<>|]*\|)?([^<>]*)>", r"\1", text)
        text = re.sub(r"[BCFIS]<([^<>]*)>", r"\1", text)
    text = text.replace("E<gt>", ">").replace("E<lt>", "<")
    blocks = re.split(r"\n\s*\n", text)
    yield [" ".join(b.split()) for b in blocks if not b.startswith((" ", "\t", "="))]


def jargon(raw: bytes) -> Iterator[Document]:
    """The Jargon File: indented entries between blank lines."""
    blocks = re.split(r"\n\s*\n", _text(raw))
    entries = [" ".join(b.split()) for b in blocks]
    for start in range(0, len(entries), 40):
        yield entries[start:start + 40]


def austen(raw: bytes) -> Iterator[Document]:
    """Jane Austen's novels, from R's compressed lazy-load data base.

    Each record is a length, the letter of a compressed stream, and a
    serialised vector of strings: one string a printed line.
    """
    for data in _zlib_streams(raw):
        yield from _chapters(_r_strings(data))


def _zlib_streams(raw: bytes) -> Iterator[bytes]:
    """Every zlib stream found in a file, whatever lies between them."""
    offset = 0
    while match := ZLIB_START.search(raw, offset):
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(raw[match.start():])
        except zlib.error:
            offset = match.start() + 1
            continue
        offset = len(raw) - len(stream.unused_data)
        yield data


def _r_strings(data: bytes) -> list[str]:
    """The character strings (CHARSXP records) of R's binary serialisation."""
    lines = []
    position = 0
    while (found := data.find(b"\x00\x09", position)) >= 0:
        start = found + 6
        (length,) = struct.unpack_from(">i", data, found + 2) if start <= len(data) else (-1,)
        if 0 <= length < 2000 and data[found - 1:found] in (b"\x04", b"\x00"):
            lines.append(data[start:start + length].decode("utf-8", errors="ignore"))
            position = start + length
        else:
            position = found + 1
    return lines


def _chapters(lines: list[str]) -> Iterator[Document]:
    chapter: list[str] = []
    for line in lines + ["CHAPTER"]:
        if re.match(r"(chapter|volume)\b", line.strip(), re.IGNORECASE):
            blocks = re.split(r"\n\s*\n", "\n".join(chapter))
            yield [" ".join(b.split()).replace("_", "").replace("--", " - ")
                   for b in blocks]
            chapter = []
        else:
            chapter.append(line)


def sword(raw: bytes) -> Iterator[Document]:
    """A SWORD module: a row of zlib streams of OSIS XML, one a book."""
    for data in _zlib_streams(raw):
        text = _text(data)
        text = re.sub(r"<note\b.*?</note>", "", text, flags=re.DOTALL)
        text = re.sub(r"<title\b.*?</title>", "\n\n", text, flags=re.DOTALL)
        text = re.sub(r'<div[^>]*type="x-p"[^>]*/?>|<lg\b[^>]*>|</?p>', "\n\n", text)
        text = re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"<[^>]+>", "", text))
        blocks = [" ".join(b.split()) for b in re.split(r"\n\s*\n", text)]
        for start in range(0, len(blocks), 60):
            yield blocks[start:start + 60]


def endless_sky(raw: bytes) -> Iterator[Document]:
    """Endless Sky: the back-quoted lines are the story and its dialogue."""
    for part in re.split(r"\n(?=mission|event|planet)", _text(raw)):
        yield [" ".join(s.split()) for s in re.findall(r"`([^`]*)`", part)]


def wesnoth(raw: bytes) -> Iterator[Document]:
    """Battle for Wesnoth: story screens and the speakers' messages."""
    yield [" ".join(s.replace('""', '"').split()) for s in
           re.findall(r'(?:story|message)\s*=\s*_\s*"((?:[^"]|"")*)"', _text(raw))]


def lua_strings(raw: bytes) -> Iterator[Document]:
    """Naev's missions: the long translated strings of its scripts."""
    yield [" ".join(s.split()) for s in re.findall(r"_\(\[\[(.*?)\]\]\)", _text(raw), re.DOTALL)]


def freeciv(raw: bytes) -> Iterator[Document]:
    """Freeciv's help texts: the translated strings of its rule files."""
    strings = re.findall(r'_\("(.*?)"\)', _text(raw), re.DOTALL)
    yield [" ".join(part.split()) for s in strings
           for part in s.replace("\\\n", "").replace("\\n\\n", "\n\n").split("\n\n")]


def commentary(raw: bytes) -> Iterator[Document]:
    """A SWORD commentary: zlib streams of OSIS XML, a paragraph an element."""
    for data in _zlib_streams(raw):
        text = re.sub(r"<title\b.*?</title>|<note\b.*?</note>", "\n\n", _text(data), flags=re.DOTALL)
        text = re.sub(r"<(?:div|p|lb|lg|l|item|list)\b[^>]*>", "\n\n", text)
        text = re.sub(r"<hi[^>]*>Verses? [^<]*</hi>", "", text)
        text = re.sub(r"<[^>]+>", "", text)
        blocks = [" ".join(b.split()).replace("--", "- ") for b in re.split(r"\n\s*\n", text)]
        for start in range(0, len(blocks), 60):
            yield blocks[start:start + 60]


def json_strings(raw: bytes) -> Iterator[Document]:
    """Every string among a JSON file's values, in the file's order."""
    found: Document = []

    def walk(value) -> None:
        if isinstance(value, str):
            found.extend(" ".join(part.split()) for part in value.split("\n\n"))
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for item in value.values():
                walk(item)

    try:
        walk(json.loads(_text(raw)))
    except json.JSONDecodeError:
        return
    for start in range(0, len(found), 200):
        yield found[start:start + 200]


def crossfire(raw: bytes) -> Iterator[Document]:
    """Crossfire's maps: what people, books and signs say."""
    messages = re.findall(r"^msg\n(.*?)\nendmsg", _text(raw), re.DOTALL | re.MULTILINE)
    yield [" ".join(part.split()) for m in messages
           for part in re.split(r"^@.*$|\n\s*\n", m, flags=re.MULTILINE)]


def webster(raw: bytes) -> Iterator[Document]:
    """GCIDE: definitions and quotations, without head words and sources."""
    blocks = re.split(r"\n\s*\n", _text(raw))
    kept = []
    for block in blocks:
        text = re.sub(r"^[^\n]*\\[^\n]*(?:\n[^\n]*\])?", "", block)
        text = re.sub(r"\[[^\]]*\]|\([A-Z][a-z]+\.\)|--[A-Z].*", "", text, flags=re.DOTALL)
        text = re.sub(r"^\s*(?:\d+\.|\([a-z]\))\s*", "", text)
        kept.append(" ".join(text.replace("{", "").replace("}", "").split()))
    for start in range(0, len(kept), 200):
        yield kept[start:start + 200]
