"""Export the events of a server's log to a file of a dataset, and import such a file to a log."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from base.atomic_files import sync
from base.errors import InputError, RequestError
from base.sqlite_log.statements import digest
from behaviour.events import MAX_EARLY, Event, check_event
from behaviour.log.event_log import EventLog
from behaviour.log.format import copied
from catalog.dataset.files import SUFFIXES, RawTable, read_file
from catalog.dataset.problems import Problems
from catalog.dataset.reading import DatasetError
from catalog.dataset.validation import check_table
from catalog.schema import EVENTS

_AT_A_TIME = 10_000  # number of events in memory, and in one transaction


def export_events(state: Path, out: Path) -> int:
    """Write all events of a log to a parquet file, in the order in which the log took them.

    Events of a joined session have the user of the session. Events of users who opted out have no
    user and no session. A server may use the state directory meanwhile.

    Returns:
        The number of events.

    Raises:
        InputError: the name of the file does not end in .parquet, the directory has no log, or the
            log is damaged.
    """
    if out.suffix != ".parquet":
        raise InputError(f"--out {out}: give a name that ends in .parquet, such as events.parquet")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    count = 0
    try:
        with copied(state) as stored, pq.ParquetWriter(unfinished, EVENTS.arrow) as writer:
            events = (each.resolved for each in stored)
            while part := list(islice(events, _AT_A_TIME)):
                writer.write_table(_table(part))
                count += len(part)
        sync(unfinished)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


class Imported(NamedTuple):
    """The outcome of an import: numbers of events."""

    accepted: int  # new events
    duplicates: int  # events that the log had already
    dropped: int  # events that are not kept, because their user opted out


def import_events(file: Path, state: Path) -> Imported:
    """Record the events of a file of a dataset in a log, which no server may use meanwhile.

    An event without an `event_id` gets a digest of its row. So a second import of the same file
    adds nothing.

    Raises:
        InputError: the file has errors, an event breaks a limit of the log, or the log cannot be
            used.
    """
    if not file.name.endswith(SUFFIXES):
        raise InputError(f"--events {file}: give a file that ends in {', '.join(SUFFIXES)}")
    problems = Problems()
    raw = read_file(file, EVENTS, problems)
    if raw is not None:
        check_table(raw, problems)
    if raw is None or problems.errors:
        raise DatasetError(file, problems.errors)
    latest = int(time.time() * 1e6) + MAX_EARLY
    accepted = duplicates = dropped = 0
    with EventLog.open(state) as log:
        events = _checked(raw, latest)
        while part := list(islice(events, _AT_A_TIME)):
            [outcome], _ = log.append([part])
            accepted += outcome.accepted
            duplicates += outcome.duplicates
            dropped += outcome.dropped
    return Imported(accepted, duplicates, dropped)


def _table(events: list[Event]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        name: [getattr(event, name) for event in events] for name in EVENTS.names
    }
    columns["context"] = [list(context.items()) or None for context in columns["context"]]
    return pa.table(columns, schema=EVENTS.arrow)


def _checked(raw: RawTable, latest: int) -> Iterator[Event]:
    """Yield the events of a valid table.

    Raises:
        InputError: an event breaks a limit of the log.
    """
    seen: Counter[bytes] = Counter()  # number of rows without an id so far, by their digest
    row = 0
    for batch in raw.table.to_batches(max_chunksize=_AT_A_TIME):
        columns = {name: batch[name].to_pylist() for name in batch.schema.names if name != "time"}
        columns["time"] = batch["time"].cast(pa.int64()).to_pylist()
        for values in zip(*columns.values(), strict=True):
            event = _event(dict(zip(columns, values, strict=True)), seen)
            try:
                check_event(event, latest)
            except RequestError as error:
                where = f"{raw.source.where(row)}, column {error.field}"
                raise InputError(f"{where}: {error.problem}") from None
            yield event
            row += 1


def _event(values: dict[str, Any], seen: Counter[bytes]) -> Event:
    values["context"] = dict(values.get("context") or ())
    if values.get("event_id") is None:
        content = digest(json.dumps(values, sort_keys=True))
        seen[content] += 1
        values["event_id"] = f"{content.hex()}-{seen[content]}"
    return Event(**values)
