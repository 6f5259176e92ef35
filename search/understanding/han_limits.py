"""Limits of the price in Chinese: "50元以下", "不超过一百块", "100到200元"."""

import re

from catalog.filters import Interval
from search.understanding import limit_words as words
from search.understanding.interpretation import Limit
from search.understanding.limit_words import Bound

_NUMERALS = {numeral: value for value, numeral in enumerate("零一二三四五六七八九")} | {"两": 2}
_POWERS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_WORDS_BEFORE = 6  # number of characters before a limit that may suggest another amount

_NUMBER = (
    r"(?<![\d.a-z])(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,2})?[kw百千万]?"
    r"|[一二两三四五六七八九十百千万]{1,7}"
)
_MONEY = words.HAN_MONEY
_SIGN = r"(?:[¥$€£]|rmb)?\s*"
_PRICE = rf"(?P<price>(?:{words.HAN_PRICE_WORDS})\s*(?:在|为|是|:)?\s*)?"
_AFTER = re.compile(
    rf"{_PRICE}(?:比\s*)?(?P<sign>{_SIGN})(?P<number>{_NUMBER})\s*(?P<money>{_MONEY}?)\s*(?P<bound>"
    + "|".join(f"(?P<w{i}>{bound.words})" for i, bound in enumerate(words.HAN_AFTER))
    + r")的?"
)
_BEFORE = re.compile(
    rf"{_PRICE}(?:"
    + "|".join(f"(?P<w{i}>{bound.words})" for i, bound in enumerate(words.HAN_BEFORE))
    + rf")\s*(?P<sign>{_SIGN})(?P<number>{_NUMBER})\s*(?P<money>{_MONEY}?)"
    r"(?P<whole>\s*(?:以下|以内|之内|左右)?的?)"
)
_RANGE = re.compile(
    rf"{_PRICE}(?:介于|在|从)?\s*(?P<sign>{_SIGN})"
    rf"(?P<number>{_NUMBER})\s*(?P<money>{_MONEY}?)\s*(?:到|至|和|与|[-~–—])\s*(?P<sign2>{_SIGN})"
    rf"(?P<number2>{_NUMBER})\s*(?P<money2>{_MONEY}?)\s*(?P<between>之间|以内|左右|区间)?的?"
)
_OTHER_BEFORE = re.compile(rf"(?:{words.HAN_OTHER_AMOUNTS})\s*[在为是]?\s*$")
_OTHER_AFTER = re.compile(words.HAN_OTHER_AFTER)
_END = re.compile(r"\s*(?:$|[的,，。、]|\s)")


def han_limits(text: str) -> tuple[str, tuple[Limit, ...]]:
    """Return a normalised text without the limits of the price in Chinese, and the limits."""
    limits: tuple[Limit, ...] = ()
    for find in (_range, _one_sided, _one_sided):
        found = find(text)
        if found is not None:
            start, end, interval = found
            limits += (Limit(text[start:end].strip(" 的"), interval),)
            text = " ".join(f"{text[:start]} {text[end:]}".split())
    return text, limits


def han_number(text: str) -> float:
    """Return a number in digits, in numerals (一百五), or in both (1.5万)."""
    digits = re.match(r"[\d.,]+", text)
    if digits:
        power = {"k": 1_000, "w": 10_000, "": 1}.get(text[digits.end() :])
        return float(digits[0].replace(",", "")) * (power or _POWERS[text[digits.end()]])
    total, section, numeral, power = 0, 0, 0, 10
    for character in text:
        if character in _NUMERALS:
            numeral, power = _NUMERALS[character], max(power // 10, 1)
        elif character == "万":
            total, section, numeral, power = (section + numeral or 1) * 10_000, 0, 0, 10_000
        else:
            power = _POWERS[character]
            section, numeral = section + (numeral or 1) * power, 0
    # In 一百五, the last numeral counts tens.
    is_short = len(text) > 1 and text[-1] in _NUMERALS and text[-2] in _POWERS
    return float(total + section + numeral * (power if is_short and text[-2] != "十" else 1))


def _range(text: str) -> tuple[int, int, Interval] | None:
    for match in _RANGE.finditer(text):
        low, high = han_number(match["number"]), han_number(match["number2"])
        is_money = any(match[name].strip() for name in ("sign", "money", "sign2", "money2"))
        is_bare = match["price"] or (match["between"] and _nothing_else(text, match))
        if low < high and (is_money or is_bare):
            return match.start(), match.end(), Interval(at_least=low, at_most=high)
    return None


def _one_sided(text: str) -> tuple[int, int, Interval] | None:
    for pattern, bounds in ((_AFTER, words.HAN_AFTER), (_BEFORE, words.HAN_BEFORE)):
        for match in pattern.finditer(text):
            bound = next(bound for i, bound in enumerate(bounds) if match[f"w{i}"])
            number = han_number(match["number"])
            is_money = bool(match["sign"].strip() or match["money"])
            if _is_other_unit(match["number"], bound) and not is_money:
                continue
            ends = pattern is _AFTER or _END.match(text, match.end()) or match["whole"].strip()
            is_bare = bound.bare and ends and (match["price"] or _nothing_else(text, match))
            if number and (is_money or is_bare):
                return match.start(), match.end(), Interval(**{bound.side: number})
    return None


def _is_other_unit(number: str, bound: Bound) -> bool:
    """Return whether a number without a currency is rather in watts ("60w") or pixels ("4k")."""
    return number.endswith("w") or (number.endswith("k") and bound.side in ("above", "at_least"))


def _nothing_else(text: str, match: re.Match[str]) -> bool:
    """Return whether nothing suggests that a number is another amount than a price."""
    before = text[: match.start()][-_WORDS_BEFORE:]
    return not _OTHER_BEFORE.search(before) and not _OTHER_AFTER.match(text, match.end())
