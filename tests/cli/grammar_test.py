"""xenon run with --grammar, --grammar-file and --json-schema: what the default model writes fits, and wrong ones are told."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

XENON = os.environ["XENON"]
MODEL = Path(os.environ["XENON_SOURCE"]) / "models" / "xenon-default-q8_0.gguf"
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "age": {"type": "integer", "minimum": 1, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["old", "red"]}, "maxItems": 3},
        "home": {"type": "object", "properties": {"cave": {"type": "boolean"}}, "required": ["cave"]},
    },
    "required": ["name", "age", "tags", "home"],
}
wrong = []


def run(*arguments, prompt="Tell me about a dragon."):
    return subprocess.run([XENON, "run", str(MODEL), "-p", prompt, "-q", "-n", "300", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120)


def expect(name, good, done):
    if not good:
        wrong.append(f"{name}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")


def fits(text):
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return (isinstance(value, dict) and list(value) == ["name", "age", "tags", "home"] and
            isinstance(value["name"], str) and len(value["name"]) <= 30 and type(value["age"]) is int and
            1 <= value["age"] <= 120 and len(value["tags"]) <= 3 and set(value["tags"]) <= {"old", "red"} and
            list(value["home"]) == ["cave"] and type(value["home"]["cave"]) is bool)


def main():
    if not MODEL.exists():
        print("skipped: no default model")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        schema, gbnf = Path(folder) / "schema.json", Path(folder) / "answer.gbnf"
        schema.write_text(json.dumps(SCHEMA))
        gbnf.write_text('root ::= "The dragon is " ("red" | "green") " and " [1-9] [0-9]* " years old."')
        for seed in range(6):
            done = run("-j", json.dumps(SCHEMA), "--seed", seed, "--temp", 1.2)
            expect("schema as text", done.returncode == 0 and fits(done.stdout), done)
            again = run("--json-schema", schema, "--seed", seed, "--temp", 1.2)
            expect("schema as a file", again.stdout == done.stdout, again)
            done = run("--grammar-file", gbnf, "--seed", seed, "--temp", 1.2)
            expect("grammar as a file",
                   re.fullmatch(r"The dragon is (red|green) and [1-9][0-9]* years old\.\n", done.stdout), done)
        done = run("--grammar", 'root ::= "yes" | "no"', "--temp", 0)
        expect("grammar as text", done.stdout in ("yes\n", "no\n"), done)
        free = run("--temp", 0, "-n", 20)
        anything = run("--temp", 0, "-n", 20, "--grammar", "root ::= .*")
        expect("a grammar of everything", anything.stdout == free.stdout and free.returncode == 0, anything)
        done = run("--grammar", 'root ::= "yes" | "no"', "--json")
        expect("finish", json.loads(done.stdout)["finish"] == "end", done)
        for arguments, text in ((("--grammar", "root ::= x"), "'x' is not defined"),
                                (("--grammar", "root = x"), "--grammar:1"),
                                (("--grammar-file", folder + "/none"), "none"),
                                (("-j", "{"), "--json-schema"), (("-j", folder + "/none"), "none"),
                                (("-j", '{"not": {}}'), "'not' is not supported"),
                                (("-j", "{}", "--grammar", "root ::= [a]"), "only one of")):
            done = run(*arguments)
            expect(str(arguments), done.returncode == 1 and text in done.stderr and not done.stdout and
                   done.stderr.count("\n") == 1, done)
    for line in wrong[:20]:
        print(line)
    sys.exit(1 if wrong else 0)


main()
