"""`python -m server check`: check a bundle and a state directory, and change nothing."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from base.errors import InputError
from base.sqlite_log.file import NoLogError
from behaviour.log.format import copied
from live import bundle_store
from live.bundle_store import State
from live.log import reading
from live.log.reading import LogSnapshot
from search import bundle
from search.bundle import Manifest
from search.engine import Engine

Verify: TypeAlias = Callable[[Path], Manifest]

_DAMAGED = (InputError, OSError)


@dataclass(frozen=True)
class CheckConfig:
    """Check a bundle, and a state directory if one is given. Change nothing.

    A server may use both during the check.
    """

    bundle: Path  # bundle directory, as in --bundle of the server
    state: Path | None = None  # state directory, as in --state of the server
    quick: bool = False  # do not replay the golden queries


def check(config: CheckConfig, verify: Verify = bundle.verify) -> None:
    """Print which parts are valid, and with which bundle and writes a server would start.

    Args:
        config: The command's settings.
        verify: Reads the files of a bundle and compares them with its manifest.

    Raises:
        InputError: A file is damaged; the message lists every problem.
    """
    problems: list[str] = []
    engine = None
    try:
        engine = _open(config.bundle, config.quick, verify(config.bundle))
        golden = "golden queries skipped" if config.quick else "answers its golden queries"
        items = len(engine.snapshot.catalogue)
        _print(f"bundle {config.bundle}: valid, {engine.bundle_id}, {items} items, {golden}")
    except _DAMAGED as error:
        problems.append(str(error))
    if config.state is not None:
        problems += _check_state(config, config.state, engine, verify)
        problems += _check_events(config.state)
    if problems:
        raise InputError("\nerror: ".join(problems))


def _check_state(
    config: CheckConfig, state: Path, engine: Engine | None, verify: Verify
) -> list[str]:
    """Check a state directory and return its problems.

    Args:
        config: The command's settings.
        state: The state directory.
        engine: The engine of `config.bundle`; None if that bundle is damaged.
        verify: See `check`.
    """
    if not state.is_dir():
        return [f"--state {state}: no such directory"]
    # List the bundles first. The log then has all of their writes, even if a server compacts now.
    bundles = bundle_store.finished(state / bundle_store.BUNDLES)
    try:
        log = reading.read(state)
    except NoLogError:
        _print(f"log: none in {state} yet; a start creates it")
        log = LogSnapshot("", 0, ())
    except _DAMAGED as error:
        return [str(error)]
    else:
        curations = sum(version.content is not None for version in log.curations)
        _print(
            f"log {log.id}: valid, {log.sequence} writes, {len(log.changes)} items written, "
            f"{curations} curations"
        )
        if not (mark := reading.mark_path(state)).exists():
            _print(f"{mark}: missing, so lost writes cannot be noticed; a start creates it")
    checked = {path: _check_compacted(path, log, engine, verify) for path in bundles}
    problems = [str(result) for result in checked.values() if isinstance(result, Exception)]
    for path in bundle_store.unfinished(state / bundle_store.BUNDLES):
        _print(
            f"{path}: not finished; a server is building it, or was killed and the next start "
            "removes it"
        )
    if engine is not None:
        try:
            _print(_start_plan(config, engine, log, checked, verify))
        except _DAMAGED as error:
            problems.append(str(error))
    return problems


def _check_events(state: Path) -> list[str]:
    """Check the event log of a state directory and return its problems."""
    try:
        with copied(state) as stored:
            _print(f"event log: valid, {sum(1 for _ in stored)} events")
    except NoLogError:  # no server with this version has used the directory yet
        return []
    except _DAMAGED as error:
        return [str(error)]
    return []


def _check_compacted(
    directory: Path, log: LogSnapshot, engine: Engine | None, verify: Verify
) -> Manifest | Exception | None:
    """Check a compacted bundle; return its manifest, its error, or None if it was removed."""
    try:
        manifest = verify(directory)
    except _DAMAGED as error:
        if not (directory / bundle.MANIFEST).exists():
            _print(f"{directory}: a server has removed it meanwhile")
            return None
        return error
    _print(f"{directory}: valid, {_described(manifest, log, engine)}")
    return manifest


def _described(manifest: Manifest, log: LogSnapshot, engine: Engine | None) -> str:
    """Describe the writes in a valid compacted bundle, or why no server would start with it."""
    if manifest.state is None or manifest.state["log"] != log.id:
        return "an orphan: it belongs to another log"
    sequence = bundle_store.included(manifest, log.id)
    if sequence > log.sequence:
        return f"an orphan: it has writes up to {sequence}, the log ends at {log.sequence}"
    root = engine and (engine.manifest.root or engine.bundle_id)
    if root is not None and manifest.root != root:
        return f"an orphan: it was compacted from another bundle, {manifest.root}"
    return f"all writes up to {sequence}"


def _start_plan(
    config: CheckConfig,
    engine: Engine,
    log: LogSnapshot,
    checked: Mapping[Path, Manifest | Exception | None],
    verify: Verify,
) -> str:
    """Describe with which bundle a server would start, and which writes it would read."""

    def open_checked(path: Path) -> Engine:
        if path == config.bundle:
            return engine
        result = checked.get(path)
        if isinstance(result, Exception):
            raise result
        return _open(path, config.quick, result or verify(path))

    first = bundle_store.newest(
        config.bundle,
        list(checked),
        State(log.id, log.sequence),
        open_checked,
        lambda path, error: _print(f"a start skips {path}: {error}"),
    )
    included = bundle_store.included(first.manifest, log.id)
    later = sum(change.sequence > included for change in log.changes)
    return (
        f"a start begins with {first.directory}, and takes {later} items from the log, written in "
        f"{log.sequence - included} writes after {included}"
    )


def _open(directory: Path, quick: bool, verified: Manifest | None = None) -> Engine:
    """Open a bundle. `verified` is its manifest if its files have already been verified."""
    return Engine.load(directory, verified=verified, replay=not quick)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
