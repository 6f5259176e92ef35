"""The bundles of a state directory: each has the writes of its log up to one of them.

Whichever of them is whole will do to begin with, for the log has what it lacks. Only the process
that has the log open writes here.
"""

import logging
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from base.errors import InputError
from base.failpoints import failpoint
from search import bundle
from search.bundle.manifest import Built, BundleError, Manifest

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")

BUNDLES = "bundles"  # where they are in a state directory
_DIGITS = 12  # of a sequence in a name, so that names sort
# No name comes twice: a bundle is never put in the place of one that is in use.
_NAME = re.compile(rf"[0-9]{{{_DIGITS}}}-[0-9a-f]{{8}}")


@dataclass(frozen=True)
class State:
    """What of a log a bundle's items include."""

    log: str  # which log
    sequence: int  # all its writes up to this one


def _warn(_: Path, error: Exception) -> None:
    logger.warning("passed over: %s", error)


def included(manifest: Manifest, log: str) -> int:
    """Up to which write of a log a bundle's items include everything; 0 of another log."""
    state = manifest.state
    return int(state["sequence"]) if state and state["log"] == log else 0


def require_log(directory: Path, manifest: Manifest, state: State) -> None:
    """Insist that a log has all of its writes that a bundle has, or it gives their numbers again.

    Raises:
        BundleError: it was put back to what it was before.
    """
    if (more := included(manifest, state.log)) > state.sequence:
        raise BundleError(
            f"{directory} has writes of the log up to {more}, and the log ends at "
            f"{state.sequence}: it was put back to an earlier state; restore the later one, or "
            "give another --state"
        )


def place(bundles: Path, state: State, fill: Callable[[Path], Built]) -> tuple[Path, Built]:
    """Put a bundle among those of a state directory, whole or not at all.

    Args:
        bundles: Where they are.
        state: What of the log it includes.
        fill: Writes it into an empty directory, its manifest last.

    Returns:
        Where it is now, and what `fill` returned.
    """
    bundles.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(bundles)
    target = bundles / f"{state.sequence:0{_DIGITS}d}-{uuid.uuid4().hex[:8]}"

    def filled(directory: Path) -> Built:
        failpoint("compaction.before-items")
        built = fill(directory)
        failpoint("compaction.after-manifest")
        return built

    built = bundle.write_directory(target, filled)
    failpoint("compaction.after-rename")
    return target, built


def candidates(root: Path, bundles: Path, state: State) -> Iterator[Path]:
    """The bundles to begin with, the best first: those compacted from `root`, then `root` itself.

    Their files are not checked.

    Args:
        root: The bundle that the server is given.
        bundles: Those of the state directory.
        state: The log, and its last write.

    Raises:
        BundleError: the root is no bundle, or has writes of the log that the log has not.
    """
    given = Manifest.read(root)
    require_log(root, given, state)
    for directory in built(bundles):
        try:
            manifest = Manifest.read(directory)
        except BundleError as error:
            logger.warning("passed over: %s", error)
            continue
        of_root = manifest.root == (given.root or given.bundle_id)
        of_log = manifest.state is not None and manifest.state["log"] == state.log
        if of_root and of_log and included(manifest, state.log) <= state.sequence:
            yield directory
    yield root


def newest(
    root: Path,
    bundles: Path,
    state: State,
    open_bundle: Callable[[Path], Opened],
    passed_over: Callable[[Path, Exception], None] = _warn,
) -> Opened:
    """The first of `candidates` that can be opened.

    One that cannot is passed over: an earlier one and the log have all that it had.

    Args:
        root: As of `candidates`, like the next two.
        bundles: Those of the state directory.
        state: The log, and its last write.
        open_bundle: Opens one.
        passed_over: Told of those that are passed over, and why.

    Raises:
        InputError, OSError: as `candidates`; or the root cannot be opened, nor can any other.
    """
    for directory in candidates(root, bundles, state):
        try:
            return open_bundle(directory)
        except (InputError, OSError) as error:
            if directory == root:
                raise
            passed_over(directory, error)
    raise AssertionError("the root is the last candidate")


def clean(bundles: Path, keep: Path) -> None:
    """Remove all bundles but the one that has taken their place."""
    failpoint("compaction.before-cleaning")
    for directory in built(bundles):
        if directory != keep:
            remove(directory)
    sweep(bundles)
    failpoint("compaction.after-cleaning")


def remove(directory: Path) -> None:
    """Remove a bundle; who has its files open keeps them."""
    # Without its manifest it is no bundle, so it is never half of one.
    (directory / bundle.MANIFEST).unlink(missing_ok=True)
    failpoint("compaction.before-removal")
    shutil.rmtree(directory, ignore_errors=True)


def sweep(bundles: Path) -> None:
    """Remove what killed processes left: bundles that were not finished, or not wholly removed."""
    for left in unfinished(bundles):
        shutil.rmtree(left, ignore_errors=True)


def built(bundles: Path) -> list[Path]:
    """The finished bundles of a state directory, the last one first."""
    return sorted((each for each in _named(bundles) if _is_built(each)), reverse=True)


def unfinished(bundles: Path) -> list[Path]:
    """What killed processes left, or one that runs has not finished."""
    return sorted(each for each in _named(bundles) if not _is_built(each))


def _named(bundles: Path) -> list[Path]:
    """All directories that `place` made; what else lies there is somebody else's."""
    if not bundles.is_dir():
        return []
    own = [each for each in bundles.iterdir() if _NAME.fullmatch(_bare(each.name))]
    return [each for each in own if each.is_dir() and not each.is_symlink()]


def _bare(name: str) -> str:
    """A name without what `bundle.write_directory` adds while it writes."""
    return name.removeprefix(".").removesuffix(".new").removesuffix(".old")


def _is_built(directory: Path) -> bool:
    return bool(_NAME.fullmatch(directory.name)) and (directory / bundle.MANIFEST).exists()
