"""A model of a write log in plain dictionaries, and a program that writes to a log.

The program imports nothing but the log, so it starts fast enough to be killed a thousand times. It
appends the batches of a seed. For each batch, it prints the log's answers as soon as it has them.
"""

import datetime
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from live.log.curations import (
    KEPT_VERSIONS,
    Action,
    CurationChange,
    CurationVersion,
    NothingToUndoError,
    RevisionMismatchError,
    UnknownCurationError,
)
from live.log.write_ahead_log import (
    Acknowledgement,
    Change,
    RequestIdReusedError,
    Write,
    WriteLog,
)

BATCHES = 24  # batches per seed
REOPEN_EVERY = 3  # batches after which the program opens the log again
REFUSED = "refused"
SAW = {"title": "Saw", "brand": "Acme", "price": 12.5}

# Several writes of items, or one change of a curation: the writes of one transaction.
Batch: TypeAlias = Sequence[Write | CurationChange]

_ITEMS = [f"item {number}" for number in range(8)]
_TIME = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
_REFUSALS = (
    NothingToUndoError,
    RequestIdReusedError,
    RevisionMismatchError,
    UnknownCurationError,
)


def only(log: WriteLog) -> Change:
    """Return the only change of a log."""
    (change,) = log.changes()
    return change


class Model:
    """A write log in memory."""

    def __init__(self) -> None:
        self.items: dict[str, Change] = {}
        self.stacks: dict[str, list[CurationVersion]] = {}  # versions of curations, by id
        self.requests: dict[str, tuple[int, Any]] = {}

    def copy(self) -> "Model":
        other = Model()
        other.become(self)
        return other

    def become(self, other: "Model") -> None:
        self.items, self.requests = dict(other.items), dict(other.requests)
        self.stacks = {curation_id: list(stack) for curation_id, stack in other.stacks.items()}

    @property
    def changes(self) -> list[Change]:
        return sorted(self.items.values(), key=lambda change: change.sequence)

    @property
    def curations(self) -> list[CurationVersion]:
        latest = [stack[-1] for stack in self.stacks.values()]
        return sorted(latest, key=lambda version: version.revision)

    def append(self, batch: Batch) -> list[Any]:
        """Apply a batch. For each write, return REFUSED or [sequence, whether it is repeated]."""
        return [self._append(write) for write in batch]

    def _append(self, write: Write | CurationChange) -> Any:
        if write.request_id in self.requests:
            sequence, known = self.requests[write.request_id]
            return [sequence, True] if known == _meaning(write) else REFUSED
        if isinstance(write, CurationChange):
            return self._curate(write)
        if (change := self._applied(write)) is None:
            return REFUSED
        self.items[write.item_id] = change
        self.requests[write.request_id] = (change.sequence, _meaning(write))
        return [change.sequence, False]

    def _curate(self, change: CurationChange) -> Any:
        stack, sequence = self.stacks.get(change.curation_id, []), len(self.requests) + 1
        content, expected = change.content, change.expected_revision
        if expected is not None and expected != (stack[-1].revision if stack else 0):
            return REFUSED
        if change.action is Action.DELETE and (not stack or stack[-1].content is None):
            return REFUSED
        if change.action is Action.UNDO:
            if len(stack) < 2:
                return REFUSED
            content, stack = stack[-2].content, stack[:-2]
        version = CurationVersion(change.curation_id, sequence, content, change.author, change.time)
        self.stacks[change.curation_id] = [*stack, version][-KEPT_VERSIONS:]
        self.requests[change.request_id] = (sequence, _meaning(change))
        return [sequence, False]

    def _applied(self, write: Write) -> Change | None:
        before, sequence = self.items.get(write.item_id), len(self.requests) + 1
        if write.fields is None:
            return Change(write.item_id, sequence, None, True)
        fields, whole = dict(write.fields), write.whole
        if not write.whole and before is not None:
            if before.fields is None:
                return None
            fields, whole = {**before.fields, **fields}, before.whole
        return Change(write.item_id, sequence, _set(fields) if whole else fields, whole)


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {}, ())}


def _meaning(write: Write | CurationChange) -> Any:
    if isinstance(write, CurationChange):
        return write
    if write.fields is None:
        return write.item_id, None
    return write.item_id, write.whole, _set(write.fields) if write.whole else write.fields


def random_batches(seed: int, count: int = BATCHES) -> Iterator[Batch]:
    """Yield batches of upserts and deletions; some writes are partial, repeated or refused.

    Every third batch is a change of a curation.
    """
    chance = random.Random(seed)
    sent: list[Write] = []
    for number in range(count):
        if number % 3 == 1:
            yield [_random_change(chance, f"{seed}/curation {number}")]
            continue
        batch = [_random_write(chance, f"{seed}/{len(sent) + n}", sent) for n in range(4)]
        batch = batch[: chance.randint(1, 4)]
        sent += batch
        yield batch


def _random_write(chance: random.Random, request_id: str, sent: Sequence[Write]) -> Write:
    if sent and chance.random() < 0.1:
        return chance.choice(sent)
    if sent and chance.random() < 0.03:
        request_id = chance.choice(sent).request_id
    item_id, kind = chance.choice(_ITEMS), chance.random()
    if kind < 0.2:
        return Write(request_id, item_id, None)
    fields: dict[str, Any] = {"title": f"title of {request_id}"}
    if chance.random() < 0.5:
        fields["price"] = chance.choice([0.0, 12.5, 1e9])
    if chance.random() < 0.3:
        fields["released"] = datetime.date(2024, 1, chance.randint(1, 31))
    if chance.random() < 0.3:
        fields["attributes"] = {"colour": chance.choice(["red", "grün"])}
    if chance.random() < 0.2:  # larger than a database page
        fields["description"] = chance.choice("ab") * chance.randint(1, 30_000)
    if kind < 0.5:
        fields["brand"] = None
        return Write(request_id, item_id, fields, whole=False)
    return Write(request_id, item_id, fields)


def _random_change(chance: random.Random, request_id: str) -> CurationChange:
    action = chance.choice([Action.SET, Action.SET, Action.SET, Action.DELETE, Action.UNDO])
    content = f"content of {request_id}" if action is Action.SET else None
    if content and chance.random() < 0.2:  # larger than a database page
        content *= 300
    return CurationChange(
        request_id, f"curation {chance.randrange(3)}", action, _TIME, content, "Ann"
    )


def append(log: WriteLog, batch: Batch) -> list[Any]:
    """Append a batch to a log; return the answers in the form of `Model.append`."""
    writes = [write for write in batch if isinstance(write, Write)]
    changes = [change for change in batch if isinstance(change, CurationChange)]
    answers = [*log.append(writes), *(_curated(log, change) for change in changes)]
    return [
        [each.sequence, each.repeated] if isinstance(each, Acknowledgement) else REFUSED
        for each in answers
    ]


def _curated(log: WriteLog, change: CurationChange) -> object:
    try:
        return log.curate(change)
    except _REFUSALS as error:
        return error


def compare(directory: Path, model: Model, told: list[str], batches: list[Any]) -> bool:
    """Compare a log with the answers that its killed writer printed, then repeat the last batches.

    Args:
        directory: Directory of the log.
        model: The log's content before the writer started. Updated to its final content.
        told: The answers that the writer printed, one line per batch.
        batches: The batches of the writer, in order. The writer printed no answer for the last.

    Returns:
        Whether the log had the first batch without an answer before it was repeated.
    """
    for batch, line in zip(batches, told, strict=False):
        assert model.append(batch) == json.loads(line)
    pending = batches[len(told)]
    after = model.copy()
    expected = after.append(pending)
    with WriteLog.open(directory) as log:
        log.check()
        found = list(log.changes()), list(log.curations())
        kept = log.sequence > len(model.requests)
        now = after if kept else model
        # The log has the whole batch without an answer, or nothing of it.
        assert found == (now.changes, now.curations)
        for batch in batches[max(len(told) - 1, 0) : len(told)]:
            assert append(log, batch) == now.append(batch)
        again = append(log, pending)
        assert again == now.append(pending)
        if kept:
            both = zip(expected, again, strict=True)
            assert all(same[0] == first[0] for first, same in both if first != REFUSED)
        log.check()
        assert (list(log.changes()), list(log.curations())) == (now.changes, now.curations)
        assert log.sequence == len(now.requests)
    model.become(now)
    return kept


def tell(value: Any) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(directory: Path, seed: int, count: int) -> None:
    """Append the batches of a seed; open the log again after every REOPEN_EVERY batches."""
    tell(sorted({"jax", "pyarrow", "numpy"} & sys.modules.keys()))
    log = WriteLog.open(directory)
    for number, batch in enumerate(random_batches(seed, count), 1):
        tell(append(log, batch))
        if number % REOPEN_EVERY == 0:
            log.close()
            log = WriteLog.open(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
