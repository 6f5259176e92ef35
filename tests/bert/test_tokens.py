import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from base.errors import InputError
from bert.text_growth import check_growth
from bert.tokens import Ragged, Tokenised, Tokenizer, stack


def lists(rows: Ragged) -> list[list[int]]:
    return [rows[i].tolist() for i in range(len(rows))]


# Rows of different lengths.


def test_ragged_rows_come_out_as_they_went_in():
    rows = Ragged.of([[1, 2], [], [3]])
    assert lists(rows) == [[1, 2], [], [3]]
    assert rows.lengths.tolist() == [2, 0, 1]
    assert rows[-1].tolist() == [3]
    with pytest.raises(IndexError):
        rows[3]


@given(st.data())
def test_taking_rows_is_indexing(data):
    rows = data.draw(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6))
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    assert lists(Ragged.of(rows).take(chosen)) == [rows[i] for i in chosen]


# The tokenizer.


def test_word_pieces_are_those_of_hugging_face(tokenizer, references):
    texts = references["texts"].tolist()
    rows, truncated = tokenizer.ids(texts, max_tokens=10_000)
    assert rows.lengths.tolist() == references["piece_counts"].tolist()
    assert rows.values.tolist() == references["pieces"].tolist()
    assert truncated == 0


def test_tokenised_rows_are_those_of_hugging_face(tokenizer, references):
    texts = references["texts"].tolist()
    single = Tokenised.of_texts(tokenizer.ids([texts[i] for i in (1, 4, 7, 0)], 62)[0], tokenizer)
    first, _ = tokenizer.ids([texts[i] for i in (1, 0, 5)], 62)
    second, _ = tokenizer.ids([texts[i] for i in (2, 3, 6)], 62)
    pair = Tokenised.of_pairs(first, second, tokenizer)
    for name, tokenised in (("single", single), ("pair", pair)):
        batch, length = references[f"{name}.ids"].shape
        tokens = tokenised.pad(range(batch), length, batch)
        for field in tokens._fields:
            np.testing.assert_array_equal(getattr(tokens, field), references[f"{name}.{field}"])


def test_long_texts_are_cut_and_counted(tokenizer):
    texts = ["one two three four", "one two three", "", "word " * 2000]
    whole, _ = tokenizer.ids(texts, 10_000)
    assert whole.lengths.tolist() == [4, 3, 0, 2000]
    cut, truncated = tokenizer.ids(texts, 3)
    assert truncated == 2
    assert lists(cut) == [whole[0][:3].tolist(), whole[1].tolist(), [], whole[3][:3].tolist()]


def test_the_tokenizer_files_own_limit_and_padding_are_off(tokenizer, pretrained):
    settings = json.loads((pretrained / "tokenizer.json").read_text())
    assert settings["truncation"]["max_length"] == settings["padding"]["strategy"]["Fixed"] == 128
    rows, _ = tokenizer.ids(["word " * 300, "word"], 10_000)
    assert rows.lengths.tolist() == [300, 1]


def test_a_typed_separator_is_text(tokenizer):
    rows, _ = tokenizer.ids(["a [SEP] b [CLS] [PAD] [MASK]"], 100)
    assert not {tokenizer.sep_id, tokenizer.cls_id, tokenizer.pad_id} & set(rows.values.tolist())


def test_a_lone_surrogate_becomes_a_question_mark(tokenizer):
    rows, _ = tokenizer.ids(["caf\u00e9 \ud83d lamp", "caf\u00e9 ? lamp"], 100)
    assert lists(rows)[0] == lists(rows)[1]


def test_no_texts_give_no_rows(tokenizer):
    rows, truncated = tokenizer.ids([], 5)
    assert (len(rows), truncated) == (0, 0)
    assert (
        len(Tokenised.of_texts(rows, tokenizer))
        == len(Tokenised.of_pairs(rows, rows, tokenizer))
        == 0
    )


def test_more_texts_than_a_chunk_stay_in_order(tokenizer):
    texts = [str(i) for i in range(2500)]
    rows, _ = tokenizer.ids(texts, 8)
    assert lists(rows.take([0, 1023, 1024, 2499])) == lists(
        tokenizer.ids(["0", "1023", "1024", "2499"], 8)[0]
    )


def test_a_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer")
    again = Tokenizer.from_directory(tmp_path / "tokenizer")
    texts = ["Café crème", "usb-c 20w"]
    assert lists(again.ids(texts, 20)[0]) == lists(tokenizer.ids(texts, 20)[0])
    assert (again.cls_id, again.sep_id, again.pad_id) == (101, 102, 0)
    assert again.vocab_size == 30522


def test_a_missing_or_broken_tokenizer_is_one_clear_message(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"has no tokenizer\.json"):
        Tokenizer.from_directory(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer"):
        Tokenizer.from_directory(tmp_path)
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"cls_token": "<s>", "pad_token": null}')
    with pytest.raises(InputError, match="has no <s> token"):
        Tokenizer.from_directory(tmp_path)


# Special tokens and batches.


def test_a_single_row_stands_between_cls_and_sep(tokenizer):
    tokenised = Tokenised.of_texts(Ragged.of([[7, 8], []]), tokenizer)
    assert lists(tokenised.ids) == [[101, 7, 8, 102], [101, 102]]
    assert tokenised.lengths.tolist() == tokenised.first_lengths.tolist() == [4, 2]


def test_the_second_text_of_a_pair_is_of_type_one(tokenizer):
    tokenised = Tokenised.of_pairs(Ragged.of([[7, 8], []]), Ragged.of([[9], [5, 6]]), tokenizer)
    assert lists(tokenised.ids) == [[101, 7, 8, 102, 9, 102], [101, 102, 5, 6, 102]]
    tokens = tokenised.pad([1, 0], 7, 3)
    assert tokens.ids.tolist() == [
        [101, 102, 5, 6, 102, 0, 0],
        [101, 7, 8, 102, 9, 102, 0],
        [0] * 7,
    ]
    assert tokens.types.tolist() == [[0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0], [0] * 7]
    assert tokens.mask.sum(axis=1).tolist() == [5, 6, 0]
    assert tokens.ids.dtype == tokens.types.dtype == np.int32


def test_pairs_need_as_many_first_as_second_texts(tokenizer):
    with pytest.raises(ValueError, match="1 first texts, 2 second texts"):
        Tokenised.of_pairs(Ragged.of([[1]]), Ragged.of([[1], [2]]), tokenizer)


def test_rows_that_do_not_fit_a_batch_are_refused():
    tokenised = Tokenised(Ragged.of([[1, 2, 3]]), np.array([3]), pad_id=0)
    with pytest.raises(ValueError, match="a row of 3 tokens does not fit a length of 2"):
        tokenised.pad([0], 2, 1)
    with pytest.raises(ValueError, match="2 rows do not fit a batch of 1"):
        tokenised.pad([0, 0], 3, 1)


def test_stacked_rows_follow_each_other(tokenizer):
    first = Tokenised.of_texts(Ragged.of([[7, 8]]), tokenizer)
    second = Tokenised.of_pairs(Ragged.of([[], [5]]), Ragged.of([[9], []]), tokenizer)
    both = stack(first, second)
    assert lists(both.ids) == [[101, 7, 8, 102], [101, 102, 9, 102], [101, 5, 102, 102]]
    assert both.first_lengths.tolist() == [4, 2, 3]


def test_a_file_larger_than_every_vocabulary_is_refused(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(2**40)  # a sparse file of one TiB
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer: it has 1,099"):
        Tokenizer.from_directory(tmp_path)


def with_normalizers(pretrained: Path, *normalizers: dict[str, Any]) -> bytes:
    """The packaged tokenizer with other normalizers."""
    content = json.loads((pretrained / "tokenizer.json").read_text())
    nested = {"type": "Sequence", "normalizers": list(normalizers)}
    content["normalizer"] = {"type": "Sequence", "normalizers": [nested]}
    return json.dumps(content).encode()


def replace_with(text: str, pattern: str = "a") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": text}


def charsmap(longest: bytes) -> dict[str, Any]:
    table = (4).to_bytes(4, "little") + bytes(4) + b"a\0" + longest + b"\0"
    encoded = base64.b64encode(table).decode()
    return {"type": "Precompiled", "precompiled_charsmap": encoded}


@pytest.mark.parametrize(
    "normalizers",
    [
        [replace_with("aa")] * 40,
        [replace_with("x", pattern="(?=.)")] * 40,
        [replace_with("a" * 10**6)],
        [{"type": "Prepend", "prepend": "a" * 10**6}, replace_with("aa")],
        [charsmap(b"a" * 10**6)],
    ],
)
def test_a_tokenizer_that_makes_texts_of_any_length_is_refused(pretrained, normalizers):
    with pytest.raises(InputError, match="may make a text more than 1024 times longer"):
        Tokenizer({"tokenizer.json": with_normalizers(pretrained, *normalizers)})


def test_the_replacements_of_known_tokenizers_are_allowed(pretrained):
    # ALBERT's normalizers, without its table.
    normalizers = [replace_with('"', "``"), {"type": "NFKD"}, replace_with(" ", " {2,}")]
    Tokenizer({"tokenizer.json": with_normalizers(pretrained, *normalizers)})
    check_growth(
        with_normalizers(pretrained, charsmap("صلى الله عليه وسلم".encode()), *normalizers)
    )
    check_growth(b'{"normalizer": null, "model": {"type": "Unigram"}}')


@pytest.mark.parametrize(
    "model", [{"max_input_chars_per_word": 10**6}, {"continuing_subword_prefix": "#" * 10**6}]
)
def test_a_tokenizer_that_splits_words_of_any_length_is_refused(pretrained, model):
    content = json.loads((pretrained / "tokenizer.json").read_text())
    content["model"] |= model
    with pytest.raises(InputError, match="it splits words of more than 1000 characters"):
        Tokenizer({"tokenizer.json": json.dumps(content).encode()})


def test_the_words_of_a_tokenizer_are_whole_words_of_letters(tokenizer):
    words = tokenizer.words()
    assert words == sorted(set(words))
    assert {"violin", "lamp", "kitchen"} <= set(words)
    assert all(word.isalpha() for word in words)
    assert "[CLS]" not in words
    rows, _ = tokenizer.ids(["violin", words[100], words[-100]], 10)
    assert rows.lengths.tolist() == [1, 1, 1]


def test_the_words_of_a_unigram_tokenizer_begin_words(tokenizer, tmp_path):
    pieces = [("[PAD]", 0.0), ("\u2581violin", -1.0), ("s", -2.0), ("\u2581", -3.0)]
    model = tokenizers.models.Unigram([*pieces, ("\u25812", -3.0)], unk_id=0)
    tokenizer.save(tmp_path)
    file = json.loads((tmp_path / "tokenizer.json").read_text())
    file |= json.loads(tokenizers.Tokenizer(model).to_str()) | {
        "added_tokens": file["added_tokens"]
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    assert Tokenizer.from_directory(tmp_path).words() == ["violin"]
