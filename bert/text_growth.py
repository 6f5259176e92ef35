"""A check of tokenizers that make texts longer, before they read a text.

A tokenizer of some kilobytes can replace each character by a long text, and several replacements
multiply. One query would then take all memory, in a single call of the library. The time to split a
word grows with the square of its length.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from base.errors import InputError
from base.untrusted import limits


def check_growth(content: bytes) -> None:
    """Check how much longer a tokenizer can make a text, and which words it splits.

    Args:
        content: The content of `tokenizer.json`.

    Raises:
        InputError: texts could grow too much, or words of any length would be split.
        ValueError, TypeError, LookupError, AttributeError: the content is not a tokenizer.
    """
    tokenizer = json.loads(content)
    growth = 1
    for part in _parts(tokenizer.get("normalizer")):
        growth *= _growth(part)
        if growth > limits.TEXT_GROWTH:
            raise InputError(
                "its normalizer may make a text more than "
                f"{limits.TEXT_GROWTH} times longer; use the tokenizer of a BERT"
            )
    model = tokenizer.get("model") or {}
    prefix = len(model.get("continuing_subword_prefix") or "")
    if max(prefix, model.get("max_input_chars_per_word") or 0) > limits.WORD_CHARACTERS:
        raise InputError(
            f"it splits words of more than {limits.WORD_CHARACTERS} characters; lower its "
            "max_input_chars_per_word"
        )


def _parts(normalizer: Any) -> Iterator[dict[str, Any]]:
    """Yield a normalizer and all normalizers in it."""
    left = [normalizer]
    while left:
        part = left.pop()
        if part is not None:
            yield part
            left += part.get("normalizers") or []


def _growth(normalizer: dict[str, Any]) -> int:
    """Return the largest number of characters that one normalizer makes of one character."""
    match normalizer.get("type"):
        case "Replace":  # a pattern can match nothing, between two characters
            return 1 + len(normalizer["content"])
        case "Prepend":
            return 1 + len(normalizer["prepend"])
        case "Precompiled":
            # The size of a table, the table, and texts that end with a zero byte.
            table = base64.b64decode(normalizer["precompiled_charsmap"])
            texts = table[4 + int.from_bytes(table[:4], "little") :]
            return max(1, *map(len, texts.split(b"\0")))
    return 1
