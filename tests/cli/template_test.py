"""xenon template: every shared case byte for byte; errors on stderr with exit status 1; a model's own template."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

XENON = os.environ["XENON"]
CHAT = Path(os.environ["XENON_SHARED"]) / "text" / "chat"
MODEL = Path(os.environ["XENON_SOURCE"]) / "models" / "xenon-default-q8_0.gguf"


def run(*arguments):
    return subprocess.run([XENON, "template", *map(str, arguments)], capture_output=True, timeout=120)


def check(case):
    """What is wrong with a case of expected.jsonl, or None."""
    where = f"{case['template']} {case['conversation']}"
    done = run(CHAT / "templates" / f"{case['template']}.jinja", "--conversations", CHAT / "conversations.json", "--id",
               case["conversation"])
    if "output" in case:
        good = done.returncode == 0 and done.stdout == case["output"].encode() and not done.stderr
    else:  # the message of an error that the template raises itself is told as it is
        error = done.stderr.decode()
        raised = case["error"] == "TemplateError"
        good = (done.returncode == 1 and not done.stdout and error.startswith("xenon: ") and error.count("\n") == 1 and
                (not raised or " ".join(case["message"].split()) in " ".join(error.split())))
    return None if good else f"{where}: exit {done.returncode}, {done.stdout[-200:]!r}, {done.stderr!r}"


def shared_cases():
    cases = [json.loads(line) for line in (CHAT / "expected.jsonl").open()]
    with ThreadPoolExecutor(4) as pool:
        wrong = [w for w in pool.map(check, cases) if w]
    print(f"{len(cases)} cases, {len(wrong)} wrong")
    return wrong if cases else ["no cases"]


def other_ways():
    """--model, --messages, --template-args, --no-generation-prompt, and wrong command lines."""
    wrong = []

    def expect(name, good, done):
        if not good:
            wrong.append(f"{name}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")

    with tempfile.TemporaryDirectory() as folder:
        messages, request, template = (Path(folder) / name for name in ("m.json", "r.json", "t.jinja"))
        talk = [{"role": "user", "content": "Hi “you”"}]
        messages.write_text(json.dumps(talk))
        request.write_text(json.dumps({"messages": talk, "chat_template_kwargs": {"x": 7}}))
        template.write_text("{{ messages[0].content }}{{ x }}{{ bos_token }}|{{ add_generation_prompt }}")
        done = run(template, "--messages", messages)
        expect("messages", done.stdout.decode() == "Hi “you”|True", done)
        done = run(template, "--messages", request, "--no-generation-prompt")
        expect("request", done.stdout.decode() == "Hi “you”7|False", done)
        done = run(template, "--messages", request, "--template-args", '{"x": [1]}')
        expect("arguments", done.stdout.decode() == "Hi “you”[1]|True", done)
        if MODEL.exists():
            done = run("--model", MODEL, "--messages", messages)
            expect("model", done.returncode == 0 and "Hi “you”".encode() in done.stdout, done)
            # The same conversation in the file of conversations.
            conversations = Path(folder) / "c.json"
            conversations.write_text(json.dumps({"conversations": [{"messages": talk}]}))
            other = run("--model", MODEL, "--conversations", conversations)
            expect("conversation", other.stdout == done.stdout, other)
        template.write_text("{{ raise_exception('no\\nway') }}")
        done = run(template, "--messages", messages)
        expect("raise", done.returncode == 1 and not done.stdout and b"no" in done.stderr, done)
        for arguments, status, text in (((), 2, "no TEMPLATE"), ((template,), 2, "--messages"),
                                        ((template, "--messages", messages, "--id", "a"), 2, "--id"),
                                        ((template, "--messages", folder + "/none"), 1, "none"),
                                        ((folder + "/none", "--messages", messages), 1, "none"),
                                        ((template, "--messages", messages, "--template-args", "[1]"), 1, "--template-args"),
                                        ((template, "--conversations", messages, "--id", "z"), 1, '"z"')):
            done = run(*arguments)
            expect(str(arguments), done.returncode == status and text in done.stderr.decode() and not done.stdout, done)
    return wrong


def main():
    wrong = other_ways()
    if CHAT.exists():
        wrong += shared_cases()
    else:
        print("no shared cases: only the rest was run")
    for line in wrong[:20]:
        print(line)
    sys.exit(1 if wrong else 0)


main()
