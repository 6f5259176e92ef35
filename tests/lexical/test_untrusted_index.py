"""Lexical indexes that are missing, damaged or crafted are refused."""

import shutil
import tempfile
from pathlib import Path

import pytest
import tantivy

from base.errors import InputError
from catalog.items import Item
from catalog.store import ItemStore
from lexical.analysers import ANALYSERS
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.schema import ROW, IndexSchema

LAMPS = ItemStore.of([Item("i0", "red lamp"), Item("i1", "desk")])


@pytest.mark.parametrize("present", [False, True])
def test_opening_a_missing_index_says_how_to_build_one(tmp_path, present):
    directory = tmp_path / "lexical"
    if present:
        directory.mkdir()
    with pytest.raises(InputError, match=r"no lexical index .*`shortlist train index`"):
        LexicalIndex.open(directory)
    assert directory.exists() == present


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undamaged") / "lexical"
    LexicalIndex.build(LAMPS, directory)
    return directory


@pytest.mark.parametrize("suffix", ["meta.json", ".term", ".idx", ".fast", ".fieldnorm"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_index_is_refused(tmp_path, undamaged, suffix, damage):
    directory = Path(shutil.copytree(undamaged, tmp_path / "lexical"))
    (file,) = directory.glob(f"*{suffix}")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.unlink()
    with pytest.raises(InputError, match="lexical index"):
        LexicalIndex.open(directory)


def test_an_index_that_finds_no_room_for_temporary_files_names_their_directory(
    tmp_path, monkeypatch
):
    LexicalIndex.build(LAMPS, tmp_path / "lexical")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    with pytest.raises(InputError, match=rf"{tmp_path / 'full'}.*; free space there, or .*TMPDIR"):
        LexicalIndex.open(tmp_path / "lexical")


def test_a_configuration_that_tantivy_would_read_whole_is_limited(tmp_path, undamaged):
    directory = Path(shutil.copytree(undamaged, tmp_path / "lexical"))
    with (directory / "meta.json").open("ab") as file:
        file.write(b" " * 4 * 2**20)
    with pytest.raises(InputError, match=r"the lexical index cannot be opened \(it has 4,19"):
        LexicalIndex.open(directory)


def crafted(directory: Path, terms: list[str]) -> Path:
    """Write an index with terms that no analyser makes, by a tokenizer that splits at spaces."""
    schema = IndexSchema(LexicalConfig("english", field_weights={"title": 1.0}))
    index = tantivy.Index(schema.tantivy, path=str(directory))
    spaces = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer(ANALYSERS["english"].tokenizer_name, spaces)
    writer = index.writer(num_threads=1)
    document = {ROW: 0, "title": " ".join(terms)}
    writer.add_document(tantivy.Document.from_dict(document, schema.tantivy))
    writer.commit()
    writer.wait_merging_threads()
    schema.config.write(directory)
    for lock in directory.glob(".*.lock"):
        lock.unlink()
    return directory


def test_terms_longer_than_any_word_are_refused(tmp_path):
    start = "z" * 30_000
    directory = crafted(tmp_path, [f"{start}{number:05}" for number in range(4_000)])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2**20  # for 120 MB of terms
    with pytest.raises(InputError, match="title has a term of more than 256 characters"):
        LexicalIndex.open(directory)


def test_a_config_of_other_fields_than_the_index_is_refused(tmp_path):
    directory = tmp_path / "lexical"
    LexicalIndex.build(LAMPS, directory)
    LexicalConfig(field_weights={"title": 1.0}).write(directory)
    with pytest.raises(InputError, match="cannot be opened"):
        LexicalIndex.open(directory)


def test_an_index_of_another_layout_is_refused(tmp_path):
    schema = tantivy.SchemaBuilder().add_text_field("title").build()
    tantivy.Index(schema, path=str(tmp_path))
    with pytest.raises(InputError, match="cannot be opened"):
        LexicalIndex.open(tmp_path)
