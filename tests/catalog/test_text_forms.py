"""One form for each way to type a character."""

import pytest

from catalog.text_forms import compose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LEGO™ castle", "LEGO  castle"),
        ("Core™2 Duo®", "Core 2 Duo "),
        ("1½ in.", "1 1/2 in."),
        ("⅝″", ' 5/8"'),
        ("ﬁlter Ｔａｐ", "filter Tap"),
        ("e\u0301", "é"),
        ("5\u202f000 5\u00a000", "5000 5 00"),
        ("2×4", "2×4"),
    ],
)
def test_signs_fractions_and_compatible_characters_have_one_form(text, expected):
    assert compose(text) == expected


def test_composed_text_does_not_change_again():
    for text in ("LEGO™", "1½", "⅒ ↉", "5\u202f000\u202f000", "ﷺ"):
        assert compose(compose(text)) == compose(text)
