"""The configuration of a lexical index: it is read as written, or refused if it is invalid."""

import json
import math

import pytest

from base.errors import InputError
from lexical.analysers import ANALYSERS
from lexical.config import CONFIG_FILE, LexicalConfig


def test_a_config_is_read_as_it_was_written(tmp_path):
    config = LexicalConfig(
        default_language="de", field_weights={"title": 1.5, "description": 0.25, "brand": 0.0}
    )
    config.write(tmp_path)
    read = LexicalConfig.read(tmp_path)
    assert read == config
    assert list(read.indexed.items()) == [("title", 1.5), ("description", 0.25)]


VALID = {"analyser": "english", "field_weights": {"title": 1.0}}


@pytest.mark.parametrize(
    "values",
    [
        VALID | {"analyser": "klingon"},
        VALID | {"analyser": ["english"]},
        VALID | {"analyser": None},
        VALID | {"field_weights": {"colour": 1.0}},
        VALID | {"field_weights": {"title": "high"}},
        VALID | {"field_weights": {"title": -1.0}},
        VALID | {"field_weights": {"title": math.nan}},
        VALID | {"field_weights": {"title": math.inf}},
        VALID | {"field_weights": {"title": 0}},
        VALID | {"field_weights": {}},
        VALID | {"field_weights": [1.0]},
        VALID | {"stemmer": "porter"},
        VALID | {"default_language": "English"},
        VALID | {"default_language": None},
        {"analyser": "english"},
        {"field_weights": {"title": 1.0}},
        [],
        None,
        1,
    ],
)
def test_a_malformed_config_is_refused_in_one_line_with_its_path(tmp_path, values):
    path = tmp_path / CONFIG_FILE
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"shortlist train index") as error:
        LexicalConfig.read(tmp_path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_config_that_is_no_json_is_refused(tmp_path, content):
    (tmp_path / CONFIG_FILE).write_bytes(content)
    with pytest.raises(InputError, match="malformed"):
        LexicalConfig.read(tmp_path)


def test_an_unknown_analyser_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'klingon' is unknown; use multilingual, english"):
        LexicalConfig("klingon")


def test_analysers_have_tokenizer_names_of_their_own():
    assert len({analyser.tokenizer_name for analyser in ANALYSERS.values()}) == len(ANALYSERS)
