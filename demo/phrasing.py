"""Wordings of queries: synonyms, spellings of units, plurals, word order, and typing errors."""

from collections.abc import Sequence

import numpy as np

from demo.products import compact
from demo.vocabulary import FOR, VALUE_WORDS

# Spellings of units in queries.
_UNITS = {
    "ml": ("ml", "milliliter"),
    "l": ("liter", "litre"),
    "gb": ("gb", "gigs", "gigabyte"),
    "tb": ("tb", "terabyte"),
    "inch": ("in", "inches"),
    "cm": ("cm", "centimeters"),
    "watt": ("w", "watts"),
    "kg": ("kg", "kilos"),
    "m": ("meter", "metres"),
    "volt": ("v", "volts"),
    "lumen": ("lm", "lumens"),
}

# The neighbouring keys of each key.
_BESIDE = {
    "a": "qsz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht",
    "h": "gjy", "i": "uok", "j": "hku", "k": "jli", "l": "kop", "m": "nj", "n": "bmh",
    "o": "ipl", "p": "ol", "q": "wa", "r": "etf", "s": "adw", "t": "ryg", "u": "yij",
    "v": "cbf", "w": "qes", "x": "zcs", "y": "tuh", "z": "xa",
}  # fmt: skip

# Endings of phrases without a plural.
_UNCOUNTED = ("shampoo", "sunscreen", "footwear", "bedding", "outerwear", "furniture", "wash")


def plural(phrase: str) -> str:
    """Return a phrase with its last word in plural; keep plurals and uncountable words as is."""
    if phrase.endswith(_UNCOUNTED) or (phrase.endswith("s") and not phrase.endswith("ss")):
        return phrase
    if phrase.endswith("mouse"):
        return phrase[:-5] + "mice"
    if phrase.endswith("y") and phrase[-2] not in "aeiou":
        return phrase[:-1] + "ies"
    return phrase + ("es" if phrase.endswith(("ss", "x", "ch", "sh")) else "s")


def spoken(rng: np.random.Generator, value: str) -> str:
    """Return an attribute value as people type it: a synonym, or another spelling of its unit."""
    number, _, unit = value.partition(" ")
    if unit in _UNITS and number.replace(".", "").isdigit():
        if rng.random() < 0.4:
            return compact(value)
        return f"{number} {pick(rng, _UNITS[unit])}" if rng.random() < 0.4 else value
    if value in VALUE_WORDS and rng.random() < 0.5:
        return pick(rng, VALUE_WORDS[value])
    return value


def described(
    rng: np.random.Generator, noun: str, asked: Sequence[tuple[str, str]], brand: str | None
) -> str:
    """Return a noun with attributes and brand around it, in one of the usual orders."""
    before, after = [], []
    for index in rng.permutation(len(asked)):
        name, value = asked[index]
        word = spoken(rng, value)
        if value.startswith("with "):
            after.append(word)
        elif name in FOR:
            after.append(f"for {word}")
        elif rng.random() < 0.3:
            after.append(word)
        else:
            before.append(word)
    if brand is not None:
        (before if rng.random() < 0.8 else after).insert(0, brand.lower())
    return " ".join([*before, noun, *after])


def has_long_word(text: str) -> bool:
    """Return whether the text has a word of five or more letters, which `mistyped` can change."""
    return bool(_long_words(text.split()))


def mistyped(rng: np.random.Generator, text: str) -> str:
    """Return the text with one typing error in a long word; the first letter stays unchanged.

    The error omits a letter, doubles it, swaps it with the next letter, or replaces it with the
    letter of a neighbouring key. The text must satisfy `has_long_word`.
    """
    words = text.split()
    long = _long_words(words)
    chosen = long[int(rng.integers(len(long)))]
    word = words[chosen]
    position = int(rng.integers(1, len(word) - 1))
    before, letter = word[:position], word[position]
    following, rest = word[position + 1], word[position + 2 :]
    errors = [
        before + following + rest,
        before + letter + letter + following + rest,
        before + pick(rng, _BESIDE[letter]) + following + rest,
    ]
    if letter != following:
        errors.append(before + following + letter + rest)
    words[chosen] = pick(rng, errors)
    return " ".join(words)


def _long_words(words: Sequence[str]) -> list[int]:
    return [index for index, word in enumerate(words) if len(word) >= 5 and word.isalpha()]


def pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    """Draw one of the values, uniformly."""
    return values[int(rng.integers(len(values)))]
