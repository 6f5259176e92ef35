"""One form for each way to type a character."""

import re
import unicodedata

# NFKC would write ™ as "TM", which joins the word before it, and "1½" as "11⁄2".
_SIGNS = str.maketrans(dict.fromkeys("™®©℠", " ") | {"″": '"', "”": '"', "“": '"', "„": '"'})
_FRACTION_SIGN = re.compile("[¼-¾⅐-⅞↉]")

# A space of fixed width or without a line break, before three digits of a number.
_THOUSANDS_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")


def compose(text: str) -> str:
    """Return a text in NFKC, without signs of trademarks, and with fractions written out.

    LEGO™ → LEGO; 1½ → 1 1/2; ﬁlter → filter.
    """
    if text.isascii():
        return text
    text = _THOUSANDS_SPACE.sub("", text)
    text = _FRACTION_SIGN.sub(_fraction, text.translate(_SIGNS))
    return unicodedata.normalize("NFKC", text)


def _fraction(sign: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", sign[0]).replace("⁄", "/")
