#!/usr/bin/env python3
"""The cases of cases.json, and random walks under masks, against python's jsonschema.

Usage: cases_test.py TEST_TEXT_GRAMMAR_MASK     exit 77 where jsonschema is missing
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: no python module jsonschema")
    sys.exit(77)


def refuse_constant(name):
    raise ValueError(name)


# The formats by their definitions (RFC 3339, RFC 4122), since jsonschema's own need further modules.
CHECKER = jsonschema.FormatChecker(formats=())
OFFSET = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d)(\.\d+)?" + OFFSET


def is_date(text):
    import datetime

    try:
        datetime.date.fromisoformat(text if not text.startswith("0000") else "2000" + text[4:])
    except ValueError:
        return False
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text))


CHECKER.checks("date")(is_date)
CHECKER.checks("time")(lambda text: bool(re.fullmatch(TIME, text)))
CHECKER.checks("date-time")(lambda text: len(text) > 11 and text[10] == "T" and is_date(text[:10]) and bool(re.fullmatch(TIME, text[11:])))
CHECKER.checks("uuid")(lambda text: bool(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text)))


def is_valid(schema, text):
    try:
        value = json.loads(text, parse_constant=refuse_constant)
        text.encode().decode()
        json.dumps(value, ensure_ascii=False).encode()  # no lone surrogates
    except (ValueError, UnicodeError):
        return False
    return jsonschema.Draft202012Validator(schema, format_checker=CHECKER).is_valid(value)


def main():
    folder = pathlib.Path(__file__).resolve().parent
    wrong = checked = 0
    for case in json.loads((folder / "cases.json").read_text()):
        for kind, expected in (("good", True), ("bad", False), ("narrow", True)):
            for text in case[kind]:
                checked += 1
                if is_valid(case["schema"], text) != expected:
                    print(f"{json.dumps(case['schema'])}\n  {kind}: {text}")
                    wrong += 1
    with tempfile.TemporaryDirectory() as temporary:
        walks = pathlib.Path(temporary) / "walks"
        env = dict(os.environ, XENON_GRAMMAR_WALKS=str(walks), XENON_SHARED="", CMOCKA_TEST_ABORT="0")
        subprocess.run([sys.argv[1]], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = walks.read_bytes().decode().rstrip("\n").split("\n")
    for line in lines:
        schema, value = json.loads(line)
        checked += 1
        if not jsonschema.Draft202012Validator(schema, format_checker=CHECKER).is_valid(value):
            print(f"walk: {line}")
            wrong += 1
    if len(lines) < 500:
        print(f"only {len(lines)} walks")
        wrong += 1
    print(f"{checked} texts, {wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
