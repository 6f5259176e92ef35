"""The write log: merging, request ids, what is refused, and what a file must be."""

import datetime
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import schema
from catalog.errors import InputError
from catalog.log import (
    FILE,
    Change,
    LogError,
    NoItemError,
    RequestIdReusedError,
    Write,
    WriteLog,
    Written,
)
from catalog.logfields import FIELDS
from tests.catalog.log_model import Model, append

SAW = {"title": "Saw", "brand": "Acme", "price": 12.5}
EVERYTHING = {
    "title": "Säge \x00 🪚",
    "description": "A saw.",
    "brand": "Acme",
    "category": "Tools > Saws",
    "group_id": "saws",
    "price": 12.5,
    "rating": 4.0,
    "rating_count": 2**40,
    "released": datetime.date(2024, 2, 29),
    "in_stock": False,
    "image_url": "https://example.org/saw.png",
    "attributes": {"colour": "red", "": ""},
}


@pytest.fixture
def log(tmp_path: Path):
    with WriteLog.open(tmp_path / "state") as opened:
        yield opened


def only(log: WriteLog) -> Change:
    (change,) = log.changes()
    return change


def damage(log: WriteLog, statement: str) -> None:
    """Changes a log's file behind its back."""
    other = sqlite3.connect(log.path)
    with other:
        other.execute(statement)
    other.close()


def test_the_fields_are_the_columns_of_items():
    kinds = {
        schema.TEXT: str,
        schema.NUMBER: float,
        schema.WHOLE: int,
        schema.DATE: datetime.date,
        schema.FLAG: bool,
        schema.ATTRIBUTES: dict,
    }
    left_out = ("item_id", "embedding")
    columns = [column for column in schema.ITEMS.columns if column.name not in left_out]
    assert dict(FIELDS) == {column.name: kinds[column.type] for column in columns}
    assert [column.name for column in columns if column.required] == ["title"]


def test_the_log_needs_neither_jax_nor_arrow():
    code = "import sys, catalog.log; print({'jax', 'pyarrow', 'numpy'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
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
        assert log.append([Write("r1", "i", EVERYTHING)]) == [Written(1, False)]
    with WriteLog.open(tmp_path) as log:
        assert log.sequence == 1
        change = only(log)
    assert change == Change("i", 1, EVERYTHING, True)
    assert {name: type(value) for name, value in change.fields.items()} == dict(FIELDS)


def test_a_whole_number_for_a_price_is_a_price(log):
    log.append([Write("r1", "i", {"title": "Saw", "price": 12})])
    assert type(only(log).fields["price"]) is float


def test_the_same_write_said_in_other_words_is_repeated(log):
    log.append([Write("r1", "i", {"title": "Saw", "price": 0.0}), Write("r2", "j", None)])
    same = {"price": -0.0, "title": "Saw", "brand": None, "attributes": None}
    assert log.append([Write("r1", "i", same)]) == [Written(1, True)]
    assert log.append([Write("r2", "j", None, whole=False)]) == [Written(2, True)]


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


def test_a_deleted_item_stays_deleted_until_it_is_written_whole(log):
    log.append([Write("r1", "i", SAW), Write("r2", "i", None)])
    assert only(log) == Change("i", 2, None, True)
    [refused, made] = log.append(
        [Write("r3", "i", {"price": 1.0}, whole=False), Write("r4", "other", SAW)]
    )
    assert isinstance(refused, NoItemError)
    assert refused.item_id == "i"
    assert made == Written(3, False)  # what is refused does not take others with it
    log.append([Write("r3", "i", {"title": "Drill"})])
    assert list(log.changes(3)) == [Change("i", 4, {"title": "Drill"}, True)]


def test_an_item_that_is_neither_written_nor_known_cannot_be_changed_in_part(log):
    price = {"price": 1.0}
    outcomes = log.append(
        [
            Write("r1", "bundle's", price, whole=False),
            Write("r2", "nobody's", price, whole=False),
            Write("r3", "nobody's", SAW),
            Write("r4", "nobody's", price, whole=False),  # by now there is one
            Write("r5", "unknown", None),
        ],
        {"bundle's"}.__contains__,
    )
    assert isinstance(outcomes[1], NoItemError)
    assert [outcomes[n] for n in (0, 2, 3, 4)] == [Written(n, False) for n in (1, 2, 3, 4)]
    repeated = log.append([Write("r1", "bundle's", price, whole=False)], lambda _: False)
    assert repeated == [Written(1, True)]


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
    assert made == Written(1, False)
    assert isinstance(refused, NoItemError)
    assert only(log) == Change("i", 1, None, True)


def test_only_changes_after_a_sequence_are_given(log):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(1, 5)])
    log.append([Write("again", "i2", None)])
    assert [change.item_id for change in log.changes(after=2)] == ["i3", "i4", "i2"]
    assert list(log.changes(after=log.sequence)) == []


def test_a_repeated_request_changes_nothing(log):
    log.append([Write("r1", "i", SAW)])
    log.append([Write("r2", "i", None)])
    assert log.append([Write("r1", "i", {**SAW, "rating": None})]) == [Written(1, True)]
    assert only(log) == Change("i", 2, None, True)


def test_a_request_id_twice_in_a_batch_is_one_write(log):
    write = Write("r1", "i", SAW)
    new = Write("r2", "j", SAW)
    assert log.append([write, write, new]) == [
        Written(1, False),
        Written(1, True),
        Written(2, False),
    ]
    assert log.append([write, new]) == [Written(1, True), Written(2, True)]


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
        assert isinstance(made, Written)
        assert isinstance(refused, RequestIdReusedError)
        assert refused.request_id == "r1"
    assert [change.item_id for change in log.changes()] == ["i", "k"]


def test_the_oldest_request_ids_are_forgotten(tmp_path):
    with WriteLog.open(tmp_path, remembered=3) as log:
        for n in range(1, 6):
            log.append([Write(f"r{n}", f"i{n}", SAW)])
        log.check()
        assert log.append([Write("r3", "i3", SAW)]) == [Written(3, True)]
        assert log.append([Write("r2", "i2", SAW)]) == [Written(6, False)]
    with WriteLog.open(tmp_path, remembered=1) as log:
        log.append([Write(f"s{n}", f"i{n}", SAW) for n in range(1, 6)])
        log.check()
        assert log.sequence == 11
        assert log.append([Write("s4", "i4", SAW)]) == [Written(12, False)]


def test_the_file_grows_with_the_items_not_with_the_writes(tmp_path):
    def size(rounds: int) -> int:
        with WriteLog.open(tmp_path / str(rounds), remembered=1) as log:
            for n in range(rounds):
                write = Write(f"r{n}", "i", {"title": "Saw", "description": str(n) * 10_000})
                log.append([write])
        return (tmp_path / str(rounds) / FILE).stat().st_size

    assert size(9) == size(3)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (Write("", "i", SAW), "request_id"),
        (Write("r" * 65, "i", SAW), "request_id"),
        (Write("r\ud800", "i", SAW), "request_id"),
        (Write("r", "", SAW), "item_id"),
        (Write("r", "\ud800", SAW), "item_id"),
        (Write("r", "i", {}), "field title: every item needs one"),
        (Write("r", "i", {"title": ""}, whole=False), "field title: every item needs one"),
        (Write("r", "i", {"title": None}, whole=False), "field title: every item needs one"),
        (Write("r", "i", {**SAW, "item_id": "i"}), "field item_id: items have no such field"),
        (Write("r", "i", {**SAW, "embedding": [0.5]}), "field embedding"),
        (Write("r", "i", {**SAW, "brand": "\ud800"}), "field brand: str"),
        (Write("r", "i", {**SAW, "price": "1"}), "field price: str is not float"),
        (Write("r", "i", {**SAW, "price": True}), "field price: bool is not float"),
        (Write("r", "i", {**SAW, "price": float("nan")}), "field price"),
        (Write("r", "i", {**SAW, "price": 10**400}), "field price"),
        (Write("r", "i", {**SAW, "rating_count": 1.0}), "field rating_count"),
        (Write("r", "i", {**SAW, "rating_count": 2**63}), "field rating_count"),
        (Write("r", "i", {**SAW, "in_stock": 1}), "field in_stock"),
        (Write("r", "i", {**SAW, "released": "2024-01-31"}), "field released: str is not date"),
        (Write("r", "i", {**SAW, "released": datetime.datetime(2024, 1, 31)}), "field released"),
        (Write("r", "i", {**SAW, "attributes": {"a": 1}}), "field attributes"),
        (Write("r", "i", {**SAW, "attributes": {"a": None}}), "field attributes"),
    ],
)
def test_a_malformed_write_is_refused_alone(log, write, complaint):
    [refused, made] = log.append([write, Write("good", "i", SAW)])
    assert isinstance(refused, ValueError)
    assert complaint in str(refused)
    assert made == Written(1, False)
    assert only(log) == Change("i", 1, SAW, True)


def test_more_writes_than_a_statement_takes_rows_are_one_batch(log):
    batch = [Write(f"r{n}", f"i{n % 700}", {"title": f"{n}"}) for n in range(1_300)]
    prices = [Write(f"p{n}", f"i{n}", {"price": float(n)}, whole=False) for n in range(700)]
    assert log.append(batch) == [Written(n, False) for n in range(1, 1_301)]
    assert log.append(batch) == [Written(n, True) for n in range(1, 1_301)]
    assert log.append(prices) == [Written(n, False) for n in range(1_301, 2_001)]
    found = {change.item_id: change.fields for change in log.changes()}
    newest = {f"i{n}": f"{n + 700 if n < 600 else n}" for n in range(700)}
    assert found == {f"i{n}": {"title": newest[f"i{n}"], "price": float(n)} for n in range(700)}


def test_only_one_log_at_a_time_has_a_directory(tmp_path):
    complaint = f"another server is writing to {tmp_path}"
    with WriteLog.open(tmp_path), pytest.raises(InputError, match=complaint):
        WriteLog.open(tmp_path)
    WriteLog.open(tmp_path).close()


def test_a_log_is_closed_by_another_thread_than_opened_it(tmp_path):
    log = WriteLog.open(tmp_path)
    thread = threading.Thread(target=log.close)
    thread.start()
    thread.join()
    log.close()  # again: nothing
    WriteLog.open(tmp_path).close()


def test_a_closed_log_is_not_used(log):
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append([Write("r1", "i", SAW)])
    with pytest.raises(ValueError, match="closed"):
        list(log.changes())
    with pytest.raises(ValueError, match="closed"):
        log.check()


def test_files_are_for_this_user_alone(tmp_path):
    with WriteLog.open(tmp_path / "new" / "state") as log:
        log.append([Write("r1", "i", SAW)])
        directory = tmp_path / "new" / "state"
        assert directory.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}
    assert modes == dict.fromkeys((".lock", FILE, f"{FILE}-wal", f"{FILE}-shm"), 0o600)


def test_every_commit_waits_for_the_disk(log):
    assert log._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


def of_a_newer_format(path: Path) -> None:
    WriteLog.open(path.parent).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()


def without_a_table(path: Path) -> None:
    WriteLog.open(path.parent).close()
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE requests")
    other.close()


def cut_short(path: Path) -> None:
    with WriteLog.open(path.parent) as log:
        log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(100)])
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize(
    ("write_file", "complaint"),
    [
        (not_a_database, "file is not a database"),
        (of_another_program, "is a database of another program"),
        (of_a_newer_format, "has format 2, and this version of shortlist reads 1"),
        (without_a_table, "no such table: requests"),
        (cut_short, "is damaged"),
        (Path.mkdir, "unable to open"),
    ],
)
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(
    tmp_path: Path, write_file: Callable[[Path], Any], complaint: str
):
    path = tmp_path / FILE
    write_file(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LogError) as caught:
        WriteLog.open(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    path.rmdir() if path.is_dir() else path.unlink()
    WriteLog.open(tmp_path).close()  # the directory was let go


def test_a_directory_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(LogError, match=f"^{tmp_path / 'state'}: cannot be used"):
        WriteLog.open(tmp_path / "state")
    with pytest.raises(LogError, match="Not a directory"):
        WriteLog.open(tmp_path / "state" / "inside")


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("""UPDATE items SET fields = '{"title":"Saw","colour":"red"}'""", "field colour"),
        ("""UPDATE items SET fields = '{"title":"Saw","price":"1"}'""", "field price"),
        ("""UPDATE items SET fields = '{"title":"Saw","price":NaN}'""", "field price"),
        ("""UPDATE items SET fields = '{"title":"Saw","released":1}'""", "field released"),
        ("""UPDATE items SET fields = '{"title":"Saw","released":"today"}'""", "field released"),
        ("""UPDATE items SET fields = '{"brand":"Acme"}'""", "field title"),
        ("UPDATE items SET fields = '[]'", "not a JSON object"),
        ("UPDATE items SET fields = '{'", "not JSON"),
        ("UPDATE items SET fields = replace(printf('%05000d', 0), '0', '[')", "not JSON"),
        ("UPDATE items SET fields = x'7b7d'", "not text"),
        ("UPDATE items SET fields = NULL, whole = 0", "deleted in part"),
        ("UPDATE items SET whole = 2", "neither whole nor partial"),
        ("UPDATE items SET item_id = x'00'", "no item_id"),
        ("UPDATE items SET fields = CAST(x'ff' AS TEXT)", "UTF-8"),
    ],
)
def test_a_row_that_no_log_wrote_is_refused_when_read(log, statement, complaint):
    log.append([Write("r1", "i", SAW)])
    damage(log, statement)
    for read in (lambda: list(log.changes()), log.check):
        with pytest.raises(LogError) as caught:
            read()
        assert str(log.path) in str(caught.value)
        assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM requests WHERE sequence = 2", "has gaps"),
        ("UPDATE items SET sequence = 4 WHERE sequence = 3", "is of no known write"),
        ("UPDATE items SET sequence = 0 WHERE sequence = 3", "is of no known write"),
    ],
)
def test_check_finds_writes_that_are_missing(log, statement, complaint):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(3)])
    log.check()
    damage(log, statement)
    with pytest.raises(LogError, match=complaint):
        log.check()


def test_check_finds_a_damaged_page(tmp_path):
    with WriteLog.open(tmp_path) as log:
        log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(1000)])
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    (tmp_path / FILE).write_bytes(content)
    with WriteLog.open(tmp_path) as log, pytest.raises(LogError, match="is damaged"):
        log.check()


def test_a_full_disk_keeps_what_was_acknowledged_and_nothing_of_the_batch(tmp_path):
    with WriteLog.open(tmp_path) as log:
        log.append([Write("r1", "i", SAW)])
        large = [
            Write(f"large {n}", f"large {n}", {"title": "Saw", "description": "x" * 2**20})
            for n in range(4)
        ]
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))  # no file may be larger
        try:
            with pytest.raises(LogError, match=f"{FILE}: cannot be written"):
                log.append(large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert only(log) == Change("i", 1, SAW, True)
        assert log.sequence == 1
        log.check()
        written = log.append(large)  # there is room again
        assert [each.sequence for each in written] == [2, 3, 4, 5]
    with WriteLog.open(tmp_path) as log:
        log.check()
        assert log.sequence == 5


def test_readers_see_whole_batches_while_another_thread_writes(log):
    done = threading.Event()

    def write() -> None:
        for n in range(50):
            log.append([Write(f"{n} {i}", i, {"title": str(n)}) for i in ("a", "b")])
        done.set()

    thread = threading.Thread(target=write)
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


def test_a_reader_in_the_middle_does_not_keep_a_writer_waiting(log):
    log.append([Write(f"r{n}", f"i{n}", SAW) for n in range(10)])
    reading = log.changes()
    first = next(reading)
    log.append([Write("later", "i9", None)])
    assert [first, *reading] == [Change(f"i{n}", n + 1, SAW, True) for n in range(10)]
    assert list(log.changes(after=10)) == [Change("i9", 11, None, True)]


texts = st.text(max_size=5)
fields = st.fixed_dictionaries(
    {"title": st.text(min_size=1, max_size=5)},
    optional={
        "brand": st.none() | texts,
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "rating_count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "released": st.none() | st.dates(),
        "in_stock": st.none() | st.booleans(),
        "attributes": st.dictionaries(texts, texts, max_size=2),
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
def test_any_writes_do_what_they_do_to_plain_dictionaries(steps, seed):
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
