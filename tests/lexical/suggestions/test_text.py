"""Keys of texts, their pieces, and the scripts of languages."""

import pytest

from lexical.suggestions.text import (
    join_pieces,
    key_of,
    key_offsets,
    pieces,
    script_of,
    scripts_of,
    typed_key,
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("USB-C  Charger", "usb-c charger"),
        ("1/2 in. x 3 ft.", "1/2 in x 3 ft"),
        ("Café Crème", "cafe creme"),
        ("Cafe\u0301", "cafe"),
        ("İstanbul", "istanbul"),
        ("Straße", "strasse"),
        ("Acme™ Drill®", "acme drill"),
        ("ＵＳＢ 手机壳", "usb 手机壳"),
        ("ガラス", "ガラス"),
        (' "" ', ""),
    ],
)
def test_spellings_of_a_text_have_one_key(text: str, key: str) -> None:
    assert key_of(text) == key


def test_a_space_at_the_end_of_a_typed_text_stays() -> None:
    assert typed_key("USB ") == "usb "
    assert typed_key("USB") == "usb"
    assert typed_key(" ") == ""


@pytest.mark.parametrize("text", ["Ohm & Co.", "(Café) Straße™", "手机 壳", "a  b"])
def test_every_character_of_a_key_has_its_code_point_in_the_text(text: str) -> None:
    offsets = key_offsets(text)
    assert len(offsets) == len(key_of(text))
    assert offsets == sorted(offsets)
    for char, offset in zip(key_of(text), offsets, strict=True):
        assert char in (key_of(text[offset]) or " ")


def test_text_without_spaces_has_one_piece_per_character() -> None:
    assert pieces("usb c") == ["usb", "c"]
    assert join_pieces(pieces("iphone15手机壳 usb")) == "iphone15手机壳 usb"
    assert len(pieces("手机壳")) == 3
    assert join_pieces(pieces("手机壳")[1:]) == "机壳"


@pytest.mark.parametrize(
    ("text", "script"),
    [("drill", "latin"), ("café", "latin"), ("iPhone 手机壳", "han"), ("スマホ", "kana"),
     ("дрель", "cyrillic"), ("휴대폰", "hangul")],
)  # fmt: skip
def test_the_script_of_a_text(text: str, script: str) -> None:
    assert script_of(text) == script


def test_a_language_has_its_scripts_and_latin() -> None:
    assert scripts_of("zh-Hant") == ("latin", "han")
    assert scripts_of("de_AT") == ("latin",)
    assert "cyrillic" in scripts_of("")
