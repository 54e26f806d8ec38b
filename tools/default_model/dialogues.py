"""Composes chat dialogues and plain stories with a seeded random generator.

    python3 dialogues.py WORKDIR COUNT SEED

Writes WORKDIR/dialogues-SEED.jsonl: {"split", "text"} a line, in the chat format.
A dialogue with a question whose wording is held out goes to the validation
split, so that the wordings asked there were never seen in training. WordNet
must be unpacked in WORKDIR/tree/wordnet-base (corpus.py does it).
"""

import hashlib
import json
import random
import sys
from pathlib import Path

import skills
from stories import Story
from text import as_typed, spin
from wordnet import meanings

HELD_OUT_PER_MILLE = 15
STORY_SHARE = 0.12      # of the lines: plain stories rather than dialogues

SYSTEM_PROMPTS = [
    "You are a helpful assistant.", "You are Xenon, a small and friendly assistant.",
    "You are a {friendly|kind|helpful|polite|small} {assistant|chatbot|AI}{.|. Answer in simple English.|. Keep your answers short.}",
    "Answer {briefly|in simple words|politely}.", "You are a helpful AI assistant.",
    "You are a chat assistant. {Be kind and honest.|Say so when you do not know something.}",
]


def chat(turns: list[tuple[str, str]], system: str | None) -> str:
    """The dialogue in the chat format (ChatML)."""
    lines = [f"<|im_start|>system\n{system}<|im_end|>\n"] if system else []
    for user, assistant in turns:
        lines.append(f"<|im_start|>user\n{user}<|im_end|>\n"
                     f"<|im_start|>assistant\n{assistant}<|im_end|>\n")
    return "".join(lines)


def _named_assistant(talk: skills.Talk) -> tuple[str, list[tuple[str, str]]]:
    """A system prompt that gives the assistant another name, and a question for it."""
    name = talk.name()
    job = talk.spin("{a friendly assistant|a helpful robot|a kind teacher|a small assistant|a wise wizard|a cheerful guide}")
    asked = talk.spin("{Who are you|What is your name|What's your name|What are you called}?")
    return (talk.spin(f"{{You are {name}, {job}.|Your name is {name}. You are {job}.}}"),
            [(asked, talk.spin(f"{{I am {name}, {job}.|My name is {name}. {{How can I help you?|}}}}").strip())])


def compose(rng: random.Random, common, rare) -> tuple[str, list[str]]:
    """One dialogue: its text and the questions asked in it."""
    talk = skills.Talk(rng, common, rare)
    chosen, weights = list(skills.SKILLS), list(skills.SKILLS.values())
    system = spin(rng, rng.choice(SYSTEM_PROMPTS)) if rng.random() < 0.3 else None
    turns: list[tuple[str, str]] = []
    if rng.random() < 0.03:
        system, turns = _named_assistant(talk)
    if rng.random() < 0.22:
        turns += skills.greeting(talk)
    for skill in rng.choices(chosen, weights, k=rng.choice([1, 1, 2, 2, 3, 4, 5])):
        turns += skill(talk)
    if "name" in talk.told and rng.random() < 0.6:
        turns += skills.recall(talk)
    if rng.random() < 0.12:
        turns += skills.thanks(talk)
    if rng.random() < 0.12:
        turns += skills.goodbye(talk)
    questions = [user for user, _ in turns]
    turns = [(user if assistant in user else as_typed(rng, user), assistant)
             for user, assistant in turns]
    return chat(turns or skills.greeting(talk), system), questions


def held_out(question: str) -> bool:
    """True for the share of wordings that only validation may see."""
    plain = "".join(c for c in question.lower() if c.isalnum())
    digest = hashlib.sha256(plain.encode()).digest()
    return len(plain) > 12 and int.from_bytes(digest[:4], "big") % 1000 < HELD_OUT_PER_MILLE


def main() -> None:
    work, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    common, rare = meanings(work / "tree/wordnet-base/usr/share/wordnet")
    with open(work / f"dialogues-{seed}.jsonl", "w", encoding="utf-8") as out:
        for _ in range(count):
            if rng.random() < STORY_SHARE:
                text, questions = Story(rng).text(), []
            else:
                text, questions = compose(rng, common, rare)
            split = "valid" if any(map(held_out, questions)) else "train"
            json.dump({"split": split, "text": text}, out, ensure_ascii=False)
            out.write("\n")


if __name__ == "__main__":
    main()
