"""English text preparation: a size or code becomes one word, followed by its parts."""

import pytest

from lexical.analysers.english import prepare


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/2 in. pipe", "1f2in 1f2 in. pipe"),
        ("1/2-inch pipe", "1f2in 1f2 in pipe"),
        ("3.5mm jack", "3d5mm 3d5 mm jack"),
        ("12-Gauge wire", "12gauge 12 gauge wire"),
        ("12 ga wire", "12gauge 12 gauge wire"),
        ("65 W", "65w 65 w"),
        ("F8J042bt04-BLK", "F8J042bt04BLK F8J042bt04-BLK"),
        ("WD-40", "WD40 WD-40"),
        ("24/7 help", "24f7 help"),
        ("2 by 4", "2 by 4"),
        ("USB-C cable", "USB-C cable"),  # no code, because it has no digit
        ("2019-2021", "2019-2021"),  # no code, because it has no letter
        ("v2", "v2"),
        ("5m mast", "5m 5 m mast"),
        # "2 in" looks like a size, but its parts remain searchable.
        ("a lamp. 2 in stock", "a lamp. 2in 2 in stock"),
        ("ﬁlter \ud800", "filter "),
        ("", ""),
    ],
)
def test_sizes_and_codes_are_written_out_whole(text, expected):
    assert prepare(text) == expected


def test_a_long_text_at_most_doubles():
    for text in ("1" * 50_000, "a-" * 25_000, "1/" * 25_000, "1-1." * 12_500, "a1-" * 16_000):
        assert len(prepare(text)) <= 2 * len(text) + 1
