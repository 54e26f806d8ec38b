"""What the tests with the real clients share. Each script tests one client against a running server; clients_test.py
starts that and runs them. A check that fails is told, and makes the script fail."""

import json
import os
import sys
import traceback

URL = os.environ["XENON_URL"]  # http://127.0.0.1:PORT
KEY = os.environ["XENON_KEY"]
MODEL = os.environ["XENON_MODEL"]

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]
ASK = "Tell me a story about a dragon."

checks = failures = 0


def check(what, good, detail=None):
    global checks, failures
    checks += 1
    if not good:
        failures += 1
        print(f"FAILED: {what}: {detail!r}"[:1500])
    return good


def alike(a, b):
    """Whether two answers to one question begin alike. They need not be equal to the end: how many tokens a step takes
    changes the last bits of the logits, and which of two words that are about as likely comes."""
    return len(a) > 12 and a[:12] == b[:12]


def raises(what, kind, call):
    """The exception of that kind that the call raises, or None."""
    try:
        result = call()
    except kind as error:
        check(what, True)
        return error
    except Exception as error:  # the wrong kind
        check(what, False, error)
        return None
    check(what, False, f"no error, but {result!r}")
    return None


def is_weather(arguments):
    """Whether arguments (an object, or its JSON) fit get_weather."""
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return False
    return isinstance(value.get("city"), str) and type(value.get("days")) is int and 1 <= value["days"] <= 9


def run(*tests):
    """Runs all, each whether or not another failed, and exits."""
    for test in tests:
        try:
            test()
        except Exception:
            check(test.__name__, False, traceback.format_exc()[-1200:])
    print(f"{checks} checks, {failures} failed")
    sys.exit(1 if failures or not checks else 0)
