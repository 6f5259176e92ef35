"""`python -m server check`: whether a bundle and a state directory are sound. Changes nothing."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from base.errors import InputError
from live import bundle_store, log_reading
from live.bundle_store import State
from live.log_reading import LogSnapshot, NoLogError
from search import bundle
from search.bundle import Manifest
from search.config import EngineConfig
from search.engine import Engine

_UNSOUND = (InputError, OSError)


@dataclass(frozen=True)
class CheckConfig:
    """Check a bundle, and a state directory if one is named, and change nothing.

    A server may be using both.
    """

    bundle: Path  # what the server's --bundle names
    state: Path | None = None  # what its --state names
    quick: bool = False  # do not ask the golden queries again


def check(config: CheckConfig) -> None:
    """Prints what is sound, and what a start would do.

    Raises:
        InputError: anything is not sound; names all that is not.
    """
    problems: list[str] = []
    given = None
    try:
        given = _opened(config.bundle, config.quick)
        asked = "golden queries not asked" if config.quick else "answers its golden queries"
        items = len(given.snapshot.catalogue)
        _say(f"bundle {config.bundle}: sound, {given.bundle_id}, {items} items, {asked}")
    except _UNSOUND as error:
        problems.append(str(error))
    if config.state is not None:
        problems += _check_state(config, config.state, given)
    if problems:
        raise InputError("\nerror: ".join(problems))


def _check_state(config: CheckConfig, state: Path, given: Engine | None) -> list[str]:
    """Checks a state directory; what is wrong with it."""
    if not state.is_dir():
        return [f"--state {state}: no such directory"]
    try:
        log = log_reading.read(state, check=True)
    except NoLogError:
        _say(f"log: there is none in {state} yet, a start makes it")
        log = LogSnapshot("", 0, ())
    except _UNSOUND as error:
        return [str(error)]
    else:
        _say(f"log {log.id}: sound, {log.sequence} writes, {len(log.changes)} items written")
    bundles = state / bundle_store.BUNDLES
    checked = {one: _check_generation(one, log, given) for one in bundle_store.finished(bundles)}
    problems = [str(found) for found in checked.values() if isinstance(found, Exception)]
    for left in bundle_store.unfinished(bundles):
        _say(
            f"{left}: not finished; a server is at it, or was killed, and the next start clears it"
        )
    if given is not None:
        try:
            _say(_first(config, given, bundles, log, checked))
        except _UNSOUND as error:
            problems.append(str(error))
    return problems


def _check_generation(
    directory: Path, log: LogSnapshot, given: Engine | None
) -> Manifest | Exception | None:
    """Checks one bundle of a state directory: its manifest, what is wrong, None of one removed."""
    try:
        manifest = bundle.verify(directory)
    except _UNSOUND as error:
        if not (directory / bundle.MANIFEST).exists():
            _say(f"{directory}: a server removed it meanwhile")
            return None
        return error
    _say(f"{directory}: sound, {_described(manifest, log, given)}")
    return manifest


def _described(manifest: Manifest, log: LogSnapshot, given: Engine | None) -> str:
    """What a sound bundle of a state directory has, and why no start would begin with it."""
    if manifest.state is None or manifest.state["log"] != log.id:
        return "an orphan: it is of another log"
    sequence = bundle_store.included(manifest, log.id)
    if sequence > log.sequence:
        return f"an orphan: it has writes up to {sequence}, the log ends at {log.sequence}"
    root = given and (given.manifest.root or given.bundle_id)
    if root is not None and manifest.root != root:
        return f"an orphan: it was compacted from another bundle, {manifest.root}"
    return f"all writes up to {sequence}"


def _first(
    config: CheckConfig,
    given: Engine,
    bundles: Path,
    log: LogSnapshot,
    checked: Mapping[Path, Manifest | Exception | None],
) -> str:
    """Which bundle a start begins with, and what it takes from the log."""

    def opened(one: Path) -> Engine:
        if one == config.bundle:
            return given
        found = checked.get(one)
        if isinstance(found, Exception):
            raise found
        return _opened(one, config.quick, found)

    engine = bundle_store.newest(
        config.bundle,
        bundles,
        State(log.id, log.sequence),
        opened,
        lambda one, error: _say(f"a start passes over {one}: {error}"),
    )
    included = bundle_store.included(engine.manifest, log.id)
    later = sum(change.sequence > included for change in log.changes)
    return (
        f"a start begins with {engine.directory}, and takes {later} items from the log, written in "
        f"{log.sequence - included} writes after {included}"
    )


def _opened(directory: Path, quick: bool, verified: Manifest | None = None) -> Engine:
    """Opens a bundle; its files are read once, or not at all where that was done before."""
    verified = verified or bundle.verify(directory)
    if quick:
        return Engine(directory, verified, EngineConfig())
    return Engine.load(directory, verified=verified)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
