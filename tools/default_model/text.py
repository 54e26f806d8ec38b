"""Small helpers for composed text: choices in braces, articles, numbers, noise."""

import random

UNITS = ("zero one two three four five six seven eight nine ten eleven twelve "
         "thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def spin(rng: random.Random, text: str) -> str:
    """Resolves every {a|b|c} to one of its choices, innermost first."""
    while (end := text.find("}")) >= 0:
        start = text.rfind("{", 0, end)
        choice = rng.choice(text[start + 1:end].split("|"))
        text = text[:start] + choice + text[end + 1:]
    return text


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """The noun after "a" or "an"."""
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun


def in_words(number: int) -> str:
    """A whole number below a thousand in English words."""
    if number < 0:
        return "minus " + in_words(-number)
    if number < 20:
        return UNITS[number]
    if number < 100:
        rest = "-" + UNITS[number % 10] if number % 10 else ""
        return TENS[number // 10] + rest
    rest = " and " + in_words(number % 100) if number % 100 else ""
    return UNITS[number // 100] + " hundred" + rest


def listed(items: list[str]) -> str:
    """Items joined as in a sentence: a, b and c."""
    if len(items) == 1:
        return items[0]
    return ", ".join(items[:-1]) + " and " + items[-1]


def _typo(rng: random.Random, text: str) -> str:
    """One slip of the fingers: a letter swapped, dropped or doubled."""
    spots = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not spots:
        return text
    i = rng.choice(spots)
    return rng.choice([text[:i] + text[i + 1] + text[i] + text[i + 2:],
                       text[:i] + text[i + 1:],
                       text[:i] + text[i] + text[i:]])


def as_typed(rng: random.Random, text: str) -> str:
    """The text as a person might type it: careless case, marks and slips."""
    if rng.random() < 0.25:
        text = text.lower()
    if rng.random() < 0.25 and text[-1:] in ".?!":
        text = text[:-1]
    if rng.random() < 0.05:
        text = text.replace("'", "")
    if rng.random() < 0.05:
        text = _typo(rng, text)
    return text
