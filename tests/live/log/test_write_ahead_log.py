"""The write log: merging, request ids, and reading while it is written."""

import datetime
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import schema
from catalog.items import Item
from live.log.fields import FIELDS
from live.log.write_ahead_log import (
    Acknowledgement,
    Change,
    NoItemError,
    RequestIdReusedError,
    Write,
    WriteLog,
)
from tests.live.log.model import SAW, Model, append, only
from tests.tiny import sample_fields

EVERYTHING = sample_fields(without=("item_id", "category")) | {
    "title": "Säge \x00 🪚",
    "description": "A saw.",
    "brand": "Acme",
    "categories": ("Tools > Saws", "Garden"),
    "group_id": "saws",
    "price": 12.5,
    "rating": 4.0,
    "rating_count": 2**40,
    "released": datetime.date(2024, 2, 29),
    "in_stock": False,
    "image_url": "https://example.org/saw.png",
    "attributes": {"colour": "red", "size": ("S", "M"), "": ""},
}


def test_the_fields_are_the_columns_of_items():
    kinds = {
        schema.TEXT: str,
        schema.NUMBER: float,
        schema.WHOLE: int,
        schema.DATE: datetime.date,
        schema.FLAG: bool,
        schema.TEXTS: tuple,
        schema.ATTRIBUTES: dict,
    }
    left_out = ("item_id", "embedding")
    columns = [column for column in schema.ITEMS.columns if column.name not in left_out]
    assert dict(FIELDS) == {column.name: kinds[column.type] for column in columns}
    assert [column.name for column in columns if column.required] == ["title"]


def test_the_log_needs_neither_jax_nor_arrow():
    code = (
        "import sys, live.log.write_ahead_log;"
        "print({'jax', 'pyarrow', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_an_empty_log_has_no_changes(log):
    assert list(log.changes()) == []
    assert log.sequence == 0
    assert log.append([]) == []
    log.check()


def test_values_come_back_with_their_types_after_reopening(tmp_path):
    with WriteLog.open(tmp_path) as log:
        assert log.append([Write("r1", "i", EVERYTHING)]) == [Acknowledgement(1, False)]
    with WriteLog.open(tmp_path) as log:
        assert log.sequence == 1
        change = only(log)
    assert change == Change("i", 1, EVERYTHING, True)
    kinds = {name: type(value) for name, value in change.fields.items()}
    assert kinds | {"category": str} == dict(FIELDS)


def test_an_equivalent_write_counts_as_repeated(log):
    log.append([Write("r1", "i", {"title": "Saw", "price": 0.0}), Write("r2", "j", None)])
    same = {"price": -0.0, "title": "Saw", "brand": None, "attributes": None}
    assert log.append([Write("r1", "i", same)]) == [Acknowledgement(1, True)]
    assert log.append([Write("r2", "j", None, whole=False)]) == [Acknowledgement(2, True)]


def test_a_whole_upsert_replaces_the_item(log):
    log.append([Write("r1", "i", SAW)])
    log.append([Write("r2", "i", {"title": "Drill", "brand": None, "attributes": {}})])
    assert only(log) == Change("i", 2, {"title": "Drill"}, True)


def test_a_partial_write_of_an_item_of_the_bundle_stays_partial(log):
    log.append([Write("r1", "i", {"price": 9.0, "brand": "Acme"}, whole=False)])
    log.append([Write("r2", "i", {"brand": None, "attributes": None}, whole=False)])
    assert only(log) == Change("i", 2, {"price": 9.0, "brand": None, "attributes": {}}, False)


def test_a_partial_write_over_a_whole_item_merges_into_it(log):
    log.append([Write("r1", "i", SAW)])
    log.append([Write("r2", "i", {"price": 9.0, "brand": None}, whole=False)])
    assert only(log) == Change("i", 2, {"title": "Saw", "price": 9.0}, True)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"category": "A"}, {"categories": ("B", "C")}, {"categories": ("B", "C")}),
        ({"categories": ("A", "B")}, {"category": "C"}, {"category": "C"}),
        ({"categories": ("A", "B")}, {"categories": ("C",)}, {"category": "C"}),
    ],
)
def test_category_and_categories_replace_each_other(log, before, after, expected, whole):
    log.append([Write("r1", "i", {"title": "Saw"} | before, whole=whole)])
    log.append([Write("r2", "i", after, whole=False)])
    assert only(log) == Change("i", 2, {"title": "Saw"} | expected, whole)


def test_a_single_category_is_stored_as_in_earlier_logs(log):
    log.append([Write("r1", "i", {"title": "Saw", "category": "A"})])
    same = Write.upsert("r1", Item("i", "Saw", categories=("A",)))
    assert log.append([same]) == [Acknowledgement(1, True)]


def test_a_deleted_item_stays_deleted_until_it_is_written_whole(log):
    log.append([Write("r1", "i", SAW), Write("r2", "i", None)])
    assert only(log) == Change("i", 2, None, True)
    [refused, made] = log.append(
        [Write("r3", "i", {"price": 1.0}, whole=False), Write("r4", "other", SAW)]
    )
    assert isinstance(refused, NoItemError)
    assert refused.item_id == "i"
    assert made == Acknowledgement(3, False)  # refusals do not affect other writes
    log.append([Write("r3", "i", {"title": "Drill"})])
    assert list(log.changes(3)) == [Change("i", 4, {"title": "Drill"}, True)]


def test_an_item_that_is_neither_written_nor_known_cannot_be_changed_in_part(log):
    price = {"price": 1.0}
    outcomes = log.append(
        [
            Write("r1", "bundle's", price, whole=False),
            Write("r2", "nobody's", price, whole=False),
            Write("r3", "nobody's", SAW),
            Write("r4", "nobody's", price, whole=False),  # "r3" has written the item
            Write("r5", "unknown", None),
        ],
        {"bundle's"}.__contains__,
    )
    assert isinstance(outcomes[1], NoItemError)
    assert [outcomes[n] for n in (0, 2, 3, 4)] == [Acknowledgement(n, False) for n in (1, 2, 3, 4)]
    repeated = log.append([Write("r1", "bundle's", price, whole=False)], lambda _: False)
    assert repeated == [Acknowledgement(1, True)]


def test_writes_to_one_item_apply_in_the_order_of_the_batch(log):
    written = log.append(
        [
            Write("r1", "i", SAW),
            Write("r2", "j", SAW),
            Write("r3", "i", None),
            Write("r4", "i", {"title": "Drill"}),
            Write("r5", "i", {"price": 3.0}, whole=False),
        ]
    )
    assert [each.sequence for each in written] == [1, 2, 3, 4, 5]
    assert list(log.changes()) == [
        Change("j", 2, SAW, True),
        Change("i", 5, {"title": "Drill", "price": 3.0}, True),
    ]


def test_a_partial_write_after_a_deletion_in_the_same_batch_is_refused(log):
    [made, refused] = log.append(
        [Write("r1", "i", None), Write("r2", "i", {"price": 1.0}, whole=False)]
    )
    assert made == Acknowledgement(1, False)
    assert isinstance(refused, NoItemError)
    assert only(log) == Change("i", 1, None, True)


def test_only_changes_after_a_sequence_are_returned(log):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(1, 5)])
    log.append([Write("again", "i2", None)])
    assert [change.item_id for change in log.changes(after=2)] == ["i3", "i4", "i2"]
    assert list(log.changes(after=log.sequence)) == []


def test_a_repeated_request_changes_nothing(log):
    log.append([Write("r1", "i", SAW)])
    log.append([Write("r2", "i", None)])
    assert log.append([Write("r1", "i", {**SAW, "rating": None})]) == [Acknowledgement(1, True)]
    assert only(log) == Change("i", 2, None, True)


def test_a_request_id_twice_in_a_batch_is_one_write(log):
    write = Write("r1", "i", SAW)
    new = Write("r2", "j", SAW)
    assert log.append([write, write, new]) == [
        Acknowledgement(1, False),
        Acknowledgement(1, True),
        Acknowledgement(2, False),
    ]
    assert log.append([write, new]) == [Acknowledgement(1, True), Acknowledgement(2, True)]


@pytest.mark.parametrize(
    "other",
    [
        Write("r1", "j", {"title": "Saw"}),
        Write("r1", "i", {"title": "Saw", "price": 1.0}),
        Write("r1", "i", {"title": "Saw"}, whole=False),
        Write("r1", "i", None),
    ],
)
def test_a_request_id_with_another_write_is_refused(log, other):
    write = Write("r1", "i", {"title": "Saw"})
    for batch in ([write, other], [Write("r2", "k", SAW), other]):
        [made, refused] = log.append(batch)
        assert isinstance(made, Acknowledgement)
        assert isinstance(refused, RequestIdReusedError)
        assert str(refused) == "request_id: was used for another write; give a new one"
    assert [change.item_id for change in log.changes()] == ["i", "k"]


def test_the_oldest_request_ids_are_forgotten(tmp_path):
    with WriteLog.open(tmp_path, remembered=3) as log:
        for n in range(1, 6):
            log.append([Write(f"r{n}", f"i{n}", SAW)])
        log.check()
        assert log.append([Write("r3", "i3", SAW)]) == [Acknowledgement(3, True)]
        assert log.append([Write("r2", "i2", SAW)]) == [Acknowledgement(6, False)]
    with WriteLog.open(tmp_path, remembered=1) as log:
        log.append([Write(f"s{n}", f"i{n}", SAW) for n in range(1, 6)])
        log.check()
        assert log.sequence == 11
        assert log.append([Write("s4", "i4", SAW)]) == [Acknowledgement(12, False)]


def test_a_batch_can_have_more_rows_than_one_statement(log):
    batch = [Write(f"r{n}", f"i{n % 700}", {"title": f"{n}"}) for n in range(1_300)]
    prices = [Write(f"p{n}", f"i{n}", {"price": float(n)}, whole=False) for n in range(700)]
    assert log.append(batch) == [Acknowledgement(n, False) for n in range(1, 1_301)]
    assert log.append(batch) == [Acknowledgement(n, True) for n in range(1, 1_301)]
    assert log.append(prices) == [Acknowledgement(n, False) for n in range(1_301, 2_001)]
    found = {change.item_id: change.fields for change in log.changes()}
    newest = {f"i{n}": f"{n + 700 if n < 600 else n}" for n in range(700)}
    assert found == {f"i{n}": {"title": newest[f"i{n}"], "price": float(n)} for n in range(700)}


def test_readers_see_whole_batches_while_another_thread_writes(log):
    done = threading.Event()

    def write() -> None:
        for n in range(50):
            log.append([Write(f"{n} {i}", i, {"title": str(n)}) for i in ("a", "b")])
        done.set()

    thread = threading.Thread(daemon=True, target=write)
    thread.start()
    seen, last = 0, -1
    while not done.is_set():
        titles = [change.fields["title"] for change in log.changes()]
        assert len(titles) in (0, 2)
        assert len(set(titles)) <= 1
        if titles:
            assert int(titles[0]) >= last
            last, seen = int(titles[0]), seen + 1
    thread.join()
    assert seen > 0
    assert log.sequence == 100


def test_an_open_reader_does_not_block_a_writer(log):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(10)])
    reading = log.changes()
    first = next(reading)
    log.append([Write("later", "i9", None)])
    assert [first, *reading] == [Change(f"i{n}", n + 1, SAW, True) for n in range(10)]
    assert list(log.changes(after=10)) == [Change("i9", 11, None, True)]


texts = st.text(max_size=5)
fields = st.fixed_dictionaries(
    {"title": st.text(min_size=1, max_size=5).filter(str.strip)},
    optional={
        "brand": st.none() | texts,
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "rating_count": st.none() | st.integers(0, 2**63 - 1),
        "released": st.none() | st.dates(),
        "in_stock": st.none() | st.booleans(),
        "attributes": st.dictionaries(texts, texts | st.tuples(texts, texts), max_size=2),
        "identifiers": st.lists(texts.filter(str.strip), max_size=2).map(tuple),
    },
)
writes = st.builds(
    Write,
    request_id=st.integers(0, 30).map(str),
    item_id=st.sampled_from(["a", "b", "\x00", "ä"]),
    fields=st.none() | fields,
    whole=st.booleans(),
)
REOPEN = "reopen"


@settings(max_examples=60)
@given(
    steps=st.lists(st.just(REOPEN) | st.lists(writes, min_size=1, max_size=4), max_size=15),
    seed=st.integers(),
)
def test_random_writes_leave_the_changes_of_plain_dictionaries(steps, seed):
    model, chance = Model(), random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        log = WriteLog.open(Path(directory))
        try:
            for step in steps:
                if step == REOPEN:
                    log.close()
                    log = WriteLog.open(Path(directory))
                    log.check()
                    continue
                assert append(log, step) == model.append(step)
                after = chance.randint(0, len(model.requests))
                expected = [change for change in model.changes if change.sequence > after]
                assert list(log.changes(after)) == expected
                assert list(log.changes()) == model.changes
        finally:
            log.close()
