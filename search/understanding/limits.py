"""Limits of the price in a query: "under 50", "between $20 and $40", "50元以下", "unter 20 €".

A number with a currency is a price. A bare number is a price only after words such as "under", and
only if nothing suggests another amount: no unit follows ("under 50 lbs"), no size or age precedes
("men over 50"), and the number is not part of a code or a size ("under 2x4").
"""

import itertools
import re
from collections.abc import Sequence

from catalog.filters import Interval
from search.understanding import limit_words as words
from search.understanding.han_limits import han_limits
from search.understanding.interpretation import Limit
from search.understanding.limit_words import Bound, Side

_WORDS_BEFORE = 3  # number of words before a bound that may suggest another amount
_OLDEST = 99  # an age is at most this number
_FEW = 10  # a bare number below this, with a plural after it, counts things: "less than 3 legs"
_DIGITS = r"\d{1,3}(?:[,.' ]\d{3})+(?:[.,]\d{1,2})?|\d{1,9}(?:[.,]\d{1,2})?"
_NUMBER = rf"(?:{_DIGITS})\s?k(?!\w)|(?:{_DIGITS})(?!k\b)|(?:{'|'.join(words.NUMBERS)})(?!\w)"
_WHOLE = r"(?![\w%″”\"'’×*/°+]|[.,]\d|\s?[x×]\s?\d|-\w)"  # the number is not part of a size or code
_FILLER = r"(?:(?:for|at|around|of|is|with a|with|in the|für|mit|pour|por|per|um)\s+)?"
_PRICE = rf"(?P<price>(?:{words.PRICE_WORDS})\s*:?\s+)?"
_START = r"(?<![\w.,/-])"


def _alternatives(bounds: Sequence[Bound]) -> tuple[str, list[Bound]]:
    """Return an expression with one group per wording, longest first, and the bound of each."""
    wordings = [(wording, bound) for bound in bounds for wording in bound.words.split("|")]
    wordings.sort(key=lambda pair: -len(pair[0]))
    expression = "|".join(f"(?P<w{i}>{wording})" for i, (wording, _) in enumerate(wordings))
    return f"(?:{expression})", [bound for _, bound in wordings]


_BOUND_BEFORE, _BOUNDS_BEFORE = _alternatives(words.BOUNDS)
_BOUND_AFTER, _BOUNDS_AFTER = _alternatives(words.AFTER)
_AMOUNT = (
    rf"(?P<sign>{words.MONEY_BEFORE}\s*)?(?P<number>{_NUMBER})\s*(?P<money>{words.MONEY_AFTER})?"
)
_BEFORE = re.compile(
    rf"{_START}{_FILLER}{_PRICE}{_FILLER}{_BOUND_BEFORE}(?:(?<=\W)\s*|\s+|(?=[$€£¥])|-(?=\$)){_AMOUNT}{_WHOLE}"
)
_AFTER = re.compile(rf"{_START}{_FILLER}{_PRICE}{_AMOUNT}{_WHOLE}\s*{_BOUND_AFTER}(?!\w)")
_BUDGET = re.compile(
    rf"{_START}{_FILLER}(?P<price>budget|preis|prix|precio)\s*(?:of|is|:)?\s*{_AMOUNT}{_WHOLE}"
)
_RANGE = re.compile(
    rf"{_START}{_FILLER}{_PRICE}(?:(?P<between>{words.BETWEEN})\s+|(?:{words.FROM})\s+)?"
    rf"(?P<sign>{words.MONEY_BEFORE}\s*)?(?P<number>{_NUMBER})\s*(?P<money>{words.MONEY_AFTER})?"
    rf"\s*(?:{words.TO})\s*"
    rf"(?P<sign2>{words.MONEY_BEFORE}\s*)?(?P<number2>{_NUMBER})\s*(?P<money2>{words.MONEY_AFTER})?"
    rf"{_WHOLE}"
)
_UNIT = re.compile(rf"\s*-?\s*(?:{words.UNITS})")
_CONNECTOR = re.compile(rf"\s*(?:[,;.!?]|$|(?:{words.CONNECTORS})(?!\w))")
_NEXT_WORD = re.compile(r"\s*([^\W\d_]+)")
# A text without a currency sign and without one of these words has no limit. Matching the patterns
# would take a tenth of a millisecond.
_SIGN = re.compile(r"[$€£¥₹₽₩<>≤≥]")
_TRIGGERS = frozenset(
    max(re.findall(r"[^\W\d_]+", wording) or [""], key=len)
    for alternatives in (
        *(bound.words for bound in words.BOUNDS),
        words.PRICE_WORDS,
        words.BETWEEN,
        "dollar|dollars|buck|bucks|usd|euro|euros|eur|quid|gbp|sterling|yuan|rmb|cny|yen|jpy|franc|francs"
        "|franken|chf|rupee|rupees|inr|peso|pesos|reais|zł|руб|рублей|рубля|евро|долларов|kr|max|budget",
    )
    for wording in alternatives.split("|")
)
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def limits_in(text: str) -> tuple[str, tuple[Limit, ...]]:
    """Return a normalised text without its limits of the price, and the limits."""
    limits: tuple[Limit, ...] = ()
    if _HAN.search(text):
        text, limits = han_limits(text)
    if not _SIGN.search(text) and _TRIGGERS.isdisjoint(_LETTERS.findall(text)):
        return text, limits
    for find in (_range, _one_sided, _one_sided):  # a query may have a lower and an upper limit
        found = find(text)
        if found is not None:
            start, end, interval = found
            limits += (Limit(text[start:end].strip(), interval),)
            text = " ".join(f"{text[:start]} {text[end:]}".split())
    return text, limits


def number_of(text: str) -> float:
    """Return a number in words, or with separators of thousands, a comma, or a k."""
    if text in words.NUMBERS:
        return float(words.NUMBERS[text])
    factor = 1_000 if text.endswith("k") else 1
    digits = text.rstrip("k ").replace(" ", "").replace("'", "")
    if re.fullmatch(r"\d{1,3}([.,]\d{3})+", digits):
        digits = re.sub(r"[.,]", "", digits)
    elif re.search(r"[.,]\d{1,2}$", digits):
        whole, _, cents = digits.replace(",", ".").rpartition(".")
        digits = f"{whole.replace('.', '')}.{cents}"
    return float(digits) * factor


def _range(text: str) -> tuple[int, int, Interval] | None:
    """Return the first range of prices, and where it is in the text."""
    for match in _RANGE.finditer(text):
        low, high = number_of(match["number"]), number_of(match["number2"])
        is_money = any(match[name] for name in ("sign", "money", "sign2", "money2", "price"))
        is_price = is_money or (match["between"] and _is_bare_price(text, match, strict=True))
        if is_price and low < high and not _has_unit(text, match, "money2"):
            return match.start(), match.end(), Interval(at_least=low, at_most=high)
    return None


def _one_sided(text: str) -> tuple[int, int, Interval] | None:
    """Return the first lower or upper limit, and where it is in the text."""
    for pattern, bounds in ((_BEFORE, _BOUNDS_BEFORE), (_AFTER, _BOUNDS_AFTER), (_BUDGET, None)):
        for match in pattern.finditer(text):
            bound = _bound(match, bounds) if bounds else Bound("at_most", "", bare=True)
            number = number_of(match["number"])
            is_money = match["sign"] or match["money"]
            is_upper = bound.side in ("below", "at_most")
            is_bare = match["price"] or (
                bound.bare and _is_bare_price(text, match, strict=not is_upper)
            )
            if number and (is_money or is_bare) and not _has_unit(text, match, "money"):
                return match.start(), match.end(), interval_of(bound.side, number)
    return None


def interval_of(side: Side, number: float) -> Interval:
    """Return the interval with one bound."""
    return Interval(**{side: number})


def _bound(match: re.Match[str], bounds: Sequence[Bound]) -> Bound:
    return next(bound for i, bound in enumerate(bounds) if match[f"w{i}"])


def _has_unit(text: str, match: re.Match[str], money: str) -> bool:
    """Return whether a unit follows the number instead of a currency."""
    return not match[money] and bool(_UNIT.match(text, match.end()))


def _is_bare_price(text: str, match: re.Match[str], *, strict: bool) -> bool:
    """Return whether nothing suggests that a number without a currency is another amount.

    Args:
        text: The query.
        match: The match of the limit.
        strict: Whether the limit must end the query or a part of it.
    """
    before = _WORDS.findall(text[: match.start()])
    number = number_of(match["number"])
    if len(before) == 1 and before[0].isdigit():
        return False  # a title such as "20 under 40"
    near = set(itertools.takewhile(str.isalpha, reversed(before[-_WORDS_BEFORE:])))
    if near & words.OTHER_AMOUNTS or (near & words.AGES and number <= _OLDEST):
        return False
    if _CONNECTOR.match(text, match.end()):
        return True
    following = _NEXT_WORD.match(text, match.end())
    if strict or following is None:
        return False
    return number >= _FEW or not following[1].endswith("s")
