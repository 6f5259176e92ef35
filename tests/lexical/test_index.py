"""The lexical index: scores, spellings, guesses, and the files that a build writes."""

import math
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from base.errors import InputError
from catalog.schema import ITEMS
from catalog.store import ItemStore
from lexical.config import CONFIG_FILE, LexicalConfig
from lexical.index import MAX_TERMS, LexicalIndex

K1, B = 1.2, 0.75


def store_of(*items: dict[str, object]) -> ItemStore:
    rows = [{"item_id": f"i{row}", "title": "untitled"} | item for row, item in enumerate(items)]
    return ItemStore(pa.Table.from_pylist(rows, schema=ITEMS.arrow))


def titles(*texts: str) -> ItemStore:
    return store_of(*({"title": text} for text in texts))


@pytest.fixture
def build(tmp_path: Path):
    return lambda store: LexicalIndex.build(store, tmp_path / "lexical")


def bm25(term: str, field: list[list[str]], row: int) -> float:
    """Return BM25 of a term in one field of a row (Robertson and Zaragoza 2009; idf of Lucene)."""
    containing = sum(term in words for words in field)
    idf = math.log(1 + (len(field) - containing + 0.5) / (containing + 0.5))
    mean_length = sum(map(len, field)) / len(field)
    count, length = field[row].count(term), len(field[row])
    return idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean_length))


def files_in(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_size, path.read_bytes())
        for path in directory.iterdir()
    }


def test_score_is_bm25_of_each_query_term(build):
    texts = ["red lamp", "red red desk", "green chair", "lamp lamp lamp shade red"]
    index = build(titles(*texts))
    field = [text.split() for text in texts]
    expected = [bm25("red", field, row) + bm25("lamp", field, row) for row in range(4)]
    np.testing.assert_allclose(
        index.scores("red lamp", np.arange(4, dtype=np.int32)), expected, rtol=1e-6
    )


def test_score_adds_up_the_fields_by_their_weights(build):
    index = build(
        store_of(
            {
                "title": "zebra",
                "brand": "zebra",
                "category": "zebra",
                "attributes": {"zebra": "big"},
                "description": "zebra zebra",
            },
            {"title": "horse"},
        )
    )
    single = bm25("zebra", [["zebra"], ["horse"]], 0)
    brand = bm25("zebra", [["zebra"], []], 0)
    attributes = bm25("zebra", [["zebra", "big"], []], 0)
    description = bm25("zebra", [["zebra", "zebra"], []], 0)
    weights = LexicalConfig().field_weights
    expected = (
        weights["title"] * single
        + (weights["brand"] + weights["category"]) * brand
        + weights["attributes"] * attributes
        + weights["description"] * description
    )
    rows, scores = index.search("zebra", 5)
    assert rows.tolist() == [0]
    np.testing.assert_allclose(scores, [expected], rtol=1e-6)


def test_a_repeated_word_of_the_query_counts_once(build):
    index = build(titles("red lamp", "green lamp"))
    assert index.search("lamp lamp LAMP lamps", 2)[1] == pytest.approx(index.search("lamp", 2)[1])


def test_hits_come_best_first_and_equal_scores_in_row_order(build):
    index = build(titles(*["red lamp"] * 4, "red red lamp", *["red lamp"] * 4))
    rows, scores = index.search("red", 9)
    assert rows.tolist() == [4, 0, 1, 2, 3, 5, 6, 7, 8]
    assert (np.diff(scores) <= 0).all()
    assert index.search("red", 3)[0].tolist() == rows[:3].tolist()


def test_a_cut_through_equal_scores_keeps_the_first_rows(build):
    index = build(titles(*["brass screw"] * 300))
    assert index.search("screw", 7)[0].tolist() == list(range(7))


def test_search_gives_every_match_when_k_exceeds_them(build):
    index = build(titles("red lamp", "desk", "green lamp"))
    rows, scores = index.search("lamp", 1_000)
    assert rows.tolist() == [0, 2]
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_scores_equal_those_of_search_and_are_zero_elsewhere(build):
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(40)]
    items = 1_300  # scores are computed in more than one batch
    index = build(titles(*(" ".join(random.choice(words, 6)) for _ in range(items))))
    query = "word1 word2 word3 word4"
    rows, scores = index.search(query, items)
    expected = np.zeros(items, np.float32)
    expected[rows] = scores
    assert 0 < len(rows) < items
    requested = random.permutation(items).astype(np.int32)
    np.testing.assert_array_equal(index.scores(query, requested), expected[requested])


def test_scores_of_a_repeated_row_and_of_no_row(build):
    index = build(titles("red lamp", "desk"))
    once = index.search("lamp", 1)[1][0]
    assert index.scores("lamp", np.array([0, 1, 0], np.int32)).tolist() == [once, 0, once]
    assert index.scores("lamp", np.empty(0, np.int32)).shape == (0,)


@pytest.mark.parametrize("row", [-1, 2])
def test_scores_of_a_row_that_does_not_exist_raise(build, row):
    index = build(titles("red lamp", "desk"))
    with pytest.raises(IndexError):
        index.scores("lamp", np.array([0, row], np.int32))


def test_k_below_one_raises(build):
    with pytest.raises(ValueError, match="at least 1"):
        build(titles("lamp")).search("lamp", 0)


SPELLINGS = [
    ("LAMPS", "desk lamp"),
    ("running shoe", "Run shoes"),
    ("cafe creme", "Café Crème"),
    ("bistro\u0301", "BISTRÓ table"),
    ("filter", "ﬁlter"),
    ("Ｔａｐ", "tap"),
    ("東京", "東京 タワー"),
    ("лампа", "Лампа"),
    ("m&m", "M M"),
    ("3.5mm jack", "3 5mm jack"),
]


@pytest.fixture(scope="module")
def spellings(tmp_path_factory):
    store = titles(*(title for _, title in SPELLINGS))
    return LexicalIndex.build(store, tmp_path_factory.mktemp("spellings") / "lexical")


@pytest.mark.parametrize("row", range(len(SPELLINGS)), ids=[query for query, _ in SPELLINGS])
def test_words_match_whatever_their_case_accents_and_endings(spellings, row):
    query, _ = SPELLINGS[row]
    assert spellings.search(query, 5)[0].tolist() == [row]
    assert spellings.scores(query, np.array([row], np.int32))[0] > 0


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    store = titles(
        "DeWalt DCD771C2 drill", "DeWalt DCD791D2 drill", "oak table", "screwdriver 1/2 in."
    )
    return LexicalIndex.build(store, tmp_path_factory.mktemp("tools") / "lexical")


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("dcd771c2", 0),
        ("dcd-771c2", 0),
        ("dewalt dcd719d2", 1),  # two neighbouring digits are swapped
        ("oak tabel", 2),
        ("screwdri", 3),
        ("half inch 1/2-inch", 3),
    ],
)
def test_codes_typos_and_unfinished_words_find_their_item(tools, query, row):
    rows, scores = tools.search(query, 5)
    assert rows[0] == row
    np.testing.assert_allclose(tools.scores(query, rows), scores, rtol=1e-6)


def test_a_guess_scores_less_than_the_word_itself(tools):
    assert tools.search("tabel", 5)[1][0] < tools.search("table", 5)[1][0]
    assert tools.weighted_terms("oak tabel drill") == {"oak": 1.0, "drill": 1.0, "tabl": 0.8}


def test_parts_of_a_size_count_less_if_an_item_has_the_whole(build):
    index = build(titles("2 in. x 4 in. stud", "2 hinges", "5 ft. rod"))
    assert index.weighted_terms("2x4") == {"2x4": 1.0, "2": 0.5, "4": 0.5}
    assert index.weighted_terms("2 ft. rod") == {"2": 1.0, "ft": 1.0, "rod": 1.0}
    assert index.weighted_terms("2") == {"2": 1.0}


def test_a_size_is_never_corrected_or_completed(build):
    index = build(titles("1500 ft. hose", "2x48 board"))
    assert index.weighted_terms("1501ft") == {"ft": 1.0}
    assert index.weighted_terms("2x4") == {"2": 1.0}


def test_only_the_last_word_is_completed(tools):
    for query in ("screwdr", "screwdr "):
        assert tools.weighted_terms(query) == {"screwdriv": 0.8}
    assert "screwdriv" not in tools.weighted_terms("screwdr oak")


@pytest.mark.parametrize("query", ["", "   ", "\n\t", "!?* -- ()", "\x00", "\ud800", "☂️"])
def test_a_query_without_words_matches_nothing(spellings, query):
    rows, scores = spellings.search(query, 5)
    assert rows.shape == scores.shape == (0,)
    assert spellings.scores(query, np.array([0], np.int32)).tolist() == [0]


@pytest.mark.parametrize(
    "query",
    [
        'lamp AND )"',
        "title:lamp",
        "-lamp",
        "+lamp",
        "lamp*",
        "lamp~2^7",
        "(lamp",
        "[lamp TO",
        "lamp\\",
        "NOT lamp",
    ],
)
def test_no_character_of_a_query_is_an_operator(spellings, query):
    assert spellings.search(query, 5)[0].tolist() == [0]


def test_a_10_kb_query_counts_its_first_distinct_terms(build):
    index = build(titles("lamp", "desk", f"{MAX_TERMS:08}"))
    filler = [f"{number:08}" for number in range(2_000)]
    assert len(index.terms(" ".join(filler))) == MAX_TERMS
    # Each of these words is more than one edit from the third title.
    far = [filler[0], *filler[1_000:]]
    assert index.search(" ".join(["lamp", *far]), 5)[0].tolist() == [0]
    assert index.search("x" * 10_000, 5)[0].tolist() == []
    assert index.search("lamp " * 2_000, 5)[0].tolist() == [0]


def test_attribute_names_and_values_are_searched(build):
    index = build(store_of({"title": "phone"}, {"attributes": {"colour": "teal", "wi_fi": "yes"}}))
    for query in ("teal", "colour", "wi fi"):
        assert index.search(query, 5)[0].tolist() == [1]


def test_files_are_plain_and_opening_or_searching_changes_none(tmp_path):
    directory = tmp_path / "lexical"
    built = LexicalIndex.build(titles("red lamp", "desk"), directory)
    before = files_in(directory)
    assert "meta.json" in before
    assert all(path.is_file() and not path.name.startswith(".") for path in directory.iterdir())
    opened = LexicalIndex.open(directory)
    for index in (built, opened):
        assert index.search("lamp", 5)[0].tolist() == [0]
        assert len(index) == 2
    assert files_in(directory) == before


def test_a_relative_directory_can_be_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LexicalIndex.build(titles("red lamp"), Path("lexical"))
    assert LexicalIndex.open(Path("lexical")).search("lamp", 5)[0].tolist() == [0]


def test_two_builds_give_the_same_scores(tmp_path):
    store = titles(*(f"lamp number {number % 7}" for number in range(200)))
    first, second = (
        LexicalIndex.build(store, tmp_path / name).search("lamp number 3", 200) for name in "ab"
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_threads_share_an_index(build):
    index = build(titles(*(f"lamp {number}" for number in range(100))))
    expected = index.search("lamp 42", 10)[0].tolist()
    results: list[list[int]] = []

    def search() -> None:
        results.extend(index.search("lamp 42", 10)[0].tolist() for _ in range(50))

    threads = [threading.Thread(daemon=True, target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 200


def test_building_over_existing_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        LexicalIndex.build(titles("lamp"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_long_words_are_no_long_terms(build):
    assert len(build(titles("x" * 90, "y" * 9_000, "充" * 30))) == 3


def test_an_index_answers_with_the_weights_it_was_built_with(tmp_path):
    store = store_of({"title": "zebra", "brand": "lamp"}, {"title": "horse"})
    config = LexicalConfig(field_weights={"title": 2.0, "brand": 0.0})
    LexicalIndex.build(store, tmp_path / "lexical", config)
    index = LexicalIndex.open(tmp_path / "lexical")
    assert index.schema.config == config
    expected = 2.0 * bm25("zebra", [["zebra"], ["horse"]], 0)
    assert index.search("zebra", 5)[1] == pytest.approx([expected])
    assert index.search("lamp", 5)[0].tolist() == []  # weight 0: the brand is not indexed


def test_an_index_without_a_config_file_is_english_with_the_first_weights(tmp_path):
    directory = tmp_path / "lexical"
    store = store_of({"title": "running shoes", "brand": "Fleet"}, {"title": "horse"})
    built = LexicalIndex.build(store, directory, LexicalConfig("english"))
    before = built.search("run fleet", 5)[1].tolist()
    (directory / CONFIG_FILE).unlink()
    after = LexicalIndex.open(directory)
    assert after.schema.config == LexicalConfig(
        "english",
        field_weights={
            "title": 1.0,
            "brand": 0.5,
            "category": 0.5,
            "attributes": 0.3,
            "description": 0.3,
        },
    )
    assert after.search("run fleet", 5)[1].tolist() == before


def test_the_known_share_of_terms_weighs_them_by_their_inverse_document_frequency(build):
    index = build(titles("red lamp", "blue lamp", "lamp"))
    rare, frequent, unknown = (math.log(1 + (3 - n + 0.5) / (n + 0.5)) for n in (1, 3, 0))
    share = (rare + frequent) / (rare + frequent + unknown)
    assert index.known_share(index.terms("red lamps zub")) == pytest.approx(share)
    assert index.known_share(["red", "lamp"]) == 1.0
    assert index.known_share(["zub"]) == index.known_share([]) == 0.0


@pytest.mark.parametrize(
    ("query", "plausibility"),
    [
        ("red lamp", 1.0),
        ("lamp zub", 0.0),
        ("zub lamps 4x9", 1.0),
        ("zub 4x9", 0.0),
        # One of the seven letters is missing.
        ("lanterns lantrn", (6 / 7) ** 4),
        ("12", 1.0),
        ("13", 0.0),
        ("13 12", 1.0),
        ("", 0.0),
    ],
)
def test_the_last_word_without_a_digit_is_plausible_or_not(build, query, plausibility):
    index = build(titles("red lamp 12 lantern"))
    found = index.last_word_plausibility(index.terms(query))
    assert found == pytest.approx(plausibility)


def test_a_rare_correction_is_less_plausible_than_a_frequent_one(build):
    index = build(titles(*["bracket"] * 60, *["lantern"] * 3, *["red"] * 37))
    frequent = index.last_word_plausibility(["brackt"])
    assert frequent == pytest.approx((6 / 7) ** 4)
    rare = index.last_word_plausibility(["lantrn"])
    assert rare == pytest.approx((6 / 7) ** 4 * math.log1p(3) / math.log1p(5))
