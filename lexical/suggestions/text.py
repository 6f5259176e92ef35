"""Keys of texts: the normal form in which typed prefixes are compared with suggestions."""

import re
import unicodedata

_EDGES = ".,;:!?()[]{}'\"’”“*"  # signs that are removed at both ends of a word
_MARKS = dict.fromkeys(map(ord, "™®©"))  # signs that are removed everywhere
# Characters of scripts that are written without spaces: Thai, kana, and Han.
_UNSPACED = "\u0e00-\u0e7f\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_PIECE = re.compile(f"[{_UNSPACED}]|[^{_UNSPACED}]+")
# The first characters of a script's name in Unicode, by the script. The first script of which a
# text has a character is the script of the text. Latin letters occur in texts of every script.
_SCRIPTS = {
    "kana": ("HIRAGANA", "KATAKANA"),
    "hangul": ("HANGUL",),
    "han": ("CJK",),
    "cyrillic": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "thai": ("THAI",),
}
LATIN = "latin"
SCRIPTS = (LATIN, *_SCRIPTS)
# The scripts of languages that do not use Latin letters only.
_SCRIPTS_OF_LANGUAGES = {
    "zh": ("han",),
    "ja": ("kana", "han"),
    "ko": ("hangul", "han"),
    "th": ("thai",),
    "el": ("greek",),
    "he": ("hebrew",),
    **dict.fromkeys(("ar", "fa", "ur"), ("arabic",)),
    **dict.fromkeys(("ru", "uk", "be", "bg", "sr", "mk", "kk"), ("cyrillic",)),
}
GLUED = "\0"  # begins a piece that follows the piece before it without a space


def key_of(text: str) -> str:
    """Return the key of a text: case-folded, without accents, without signs around words."""
    return _joined(_fold(text))


def typed_key(prefix: str) -> str:
    """Return the key of an unfinished text. A space at its end stays: it ends the last word."""
    key = key_of(prefix)
    return f"{key} " if key and prefix[-1:].isspace() else key


def key_offsets(text: str) -> list[int]:
    """Return, for each character of `key_of(text)`, the code point of `text` that it stands for."""
    offsets: list[int] = []
    for word in re.finditer(r"\S+", text):
        folded = [(c, word.start() + i) for i, char in enumerate(word[0]) for c in _fold(char)]
        whole = "".join(c for c, _ in folded)
        stripped = whole.strip(_EDGES)
        if not stripped:
            continue
        start = whole.index(stripped)
        if offsets:
            offsets.append(word.start() - 1)
        offsets += [position for _, position in folded[start : start + len(stripped)]]
    return offsets


def pieces(key: str) -> list[str]:
    """Split a key into words, and text without spaces into characters.

    A piece that follows another piece without a space begins with `GLUED`.
    """
    words = key.split()
    if _UNSPACED_CHARACTER.search(key) is None:
        return words
    result = []
    for word in words:
        first, *others = _PIECE.findall(word)
        result += [first, *(GLUED + other for other in others)]
    return result


def join_pieces(parts: list[str]) -> str:
    """Return the text of consecutive pieces."""
    return " ".join(parts).replace(f" {GLUED}", "").removeprefix(GLUED)


def script_of(text: str) -> str:
    """Return the script of a text: one of `SCRIPTS`."""
    if not text.isascii():
        names = [unicodedata.name(char, "") for char in text if char > "\u036f"]
        for script, starts in _SCRIPTS.items():
            if any(name.startswith(starts) for name in names):
                return script
    return LATIN


def scripts_of(language: str) -> tuple[str, ...]:
    """Return the scripts of texts in a language, given as a BCP 47 tag; all scripts for ""."""
    if not language:
        return SCRIPTS
    primary = language.replace("_", "-").split("-")[0].lower()
    return (LATIN, *_SCRIPTS_OF_LANGUAGES.get(primary, ()))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text.translate(_MARKS)).casefold()
    return "".join(map(_without_accents, folded))


def _without_accents(char: str) -> str:
    """Remove the accents of a letter that is no kana and no Hangul, and lone combining marks."""
    if char < "\u00c0" or "\u0e00" <= char < "\u1e00" or char >= "\u2000":
        return char
    parts = unicodedata.normalize("NFKD", char)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _joined(folded: str) -> str:
    words = (word.strip(_EDGES) for word in folded.split())
    return " ".join(word for word in words if word)
