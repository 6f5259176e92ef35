"""A program that writes to a log and compacts it into bundles, and a model of its results.

The bundles of the program contain items as JSON, and plain text instead of models and indexes. So
the program does not import JAX, and starts fast enough to be killed hundreds of times. It writes
the files in the same order as a server, and calls the same failpoints.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from base.failpoints import failpoint
from live import bundle_store
from live.bundle_store import State
from live.log.write_ahead_log import Change, WriteLog
from search import bundle
from search.bundle import Manifest
from tests.live.log.model import BATCHES, append, random_batches, tell

COMPACT_EVERY = 3  # batches between two compactions
Items = Mapping[str, Mapping[str, Any]]

_ITEMS = "items.json"
# Contents of the files instead of real models and indexes. They are long, so writing takes time.
_MODEL, _VECTORS, _INDEX, _ANSWERS = "1" * 3000, "0" * 5000, "2" * 2000, "3" * 500


def write_root(directory: Path) -> Items:
    """Write a bundle of the items that `random_batches` changes, and return the items."""
    items = {f"item {number}": {"title": f"title {number}", "brand": "b"} for number in range(8)}
    directory.mkdir()
    fill(directory, items, None, None)
    return items


def items_of(directory: Path) -> Items:
    """Return the items of a bundle."""
    items: Items = json.loads((directory / _ITEMS).read_text())
    return items


def changed(items: Items, changes: Iterable[Change]) -> Items:
    """Return the items after some changes, with fields as in JSON."""
    after = dict(items)
    for change in changes:
        if change.fields is None:
            after.pop(change.item_id, None)
            continue
        before = {} if change.whole else after[change.item_id]
        given = {k: v.isoformat() if isinstance(v, date) else v for k, v in change.fields.items()}
        merged = {**before, **given}
        after[change.item_id] = {k: v for k, v in merged.items() if v not in (None, {})}
    return after


def verified(directory: Path) -> Path:
    """Verify the files of a bundle, and return its directory."""
    bundle.verify(directory)
    return directory


def current(log: WriteLog, root: Path, bundles: Path) -> tuple[Path, Items]:
    """Return the bundle that a server would load, and its items after the later writes."""
    compacted = bundle_store.finished(bundles)
    newest = bundle_store.newest(root, compacted, State(log.id, log.sequence), verified)
    included = bundle_store.included(Manifest.read(newest), log.id)
    return newest, changed(items_of(newest), log.changes(after=included))


def compact(log: WriteLog, root: Path, bundles: Path) -> Path:
    """Replace the newest bundle by a bundle with all current items; return its directory."""
    state = State(log.id, log.sequence)
    _, items = current(log, root, bundles)
    of = Manifest.read(root).bundle_id
    placed, _ = bundle_store.add(bundles, state, lambda new: fill(new, items, state, of))
    newest = bundle_store.newest(root, bundle_store.finished(bundles), state, verified)
    assert Manifest.read(newest).state == vars(state)
    bundle_store.remove_others(bundles, keep=placed)
    return placed


def fill(directory: Path, items: Items, state: State | None, root: str | None) -> None:
    """Write a bundle in the steps of `live.compaction`, with the same failpoints."""
    given = {"towers/model": _MODEL, _ITEMS: json.dumps(items), "index/vectors": _VECTORS}
    _write(directory, given)
    failpoint("compaction.before-index")
    _write(directory, {"index/index": _INDEX, "lexical/index": _INDEX})
    failpoint("compaction.after-index")
    _write(directory, {"golden": _ANSWERS})
    manifest = Manifest(
        bundle_id="",
        created="2024-01-31T09:30:00Z",
        as_of=None,
        numerics="float32",
        built_from={},
        reports={},
        metrics={},
        files={},
        state=state and vars(state),
        root=root,
    )
    filled = manifest.with_files(bundle.list_files(directory))
    failpoint("compaction.before-manifest")
    filled.write(directory)


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)


def main(state: Path, root: Path, seed: int, count: int) -> None:
    """Append the batches of a seed, and compact after every COMPACT_EVERY batches."""
    tell(sorted({"jax", "pyarrow", "numpy"} & sys.modules.keys()))
    with WriteLog.open(state) as log:
        for number, batch in enumerate(random_batches(seed, count), 1):
            tell(append(log, batch))
            if number % COMPACT_EVERY == 0:
                compact(log, root, state / bundle_store.BUNDLES)
                tell({"compacted": log.sequence})


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]) if len(sys.argv) > 4 else BATCHES,
    )
