"""The bundles of a state directory; each includes the writes of the log up to some sequence.

A server can start from any finished bundle, because the log has the writes that the bundle lacks.
Only the process that has the log open writes here.
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
from search.bundle.manifest import BundleError, Manifest

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")
Filled = TypeVar("Filled")

BUNDLES = "bundles"  # their directory in a state directory
_DIGITS = 12  # of a sequence in a name, so that names sort
# The random part keeps names unique: no bundle ever replaces one that is in use.
_NAME = re.compile(rf"[0-9]{{{_DIGITS}}}-[0-9a-f]{{8}}")


@dataclass(frozen=True)
class State:
    """The writes that a bundle's items include."""

    log: str  # id of the log
    sequence: int  # of the last included write


def _warn(_: Path, error: Exception) -> None:
    logger.warning("passed over: %s", error)


def included(manifest: Manifest, log: str) -> int:
    """Return the sequence of the last write of a log that a bundle includes, 0 for none."""
    state = manifest.state
    return int(state["sequence"]) if state and state["log"] == log else 0


def require_log(directory: Path, manifest: Manifest, state: State) -> None:
    """Check that a log has all of its writes that a bundle includes.

    Otherwise the log would give the sequences of the missing writes to new ones.

    Raises:
        BundleError: the log was restored from an earlier copy.
    """
    if (last := included(manifest, state.log)) > state.sequence:
        raise BundleError(
            f"{directory} has writes of the log up to {last}, and the log ends at "
            f"{state.sequence}: it was put back to an earlier state; restore the later one, or "
            "give another --state"
        )


def add(bundles: Path, state: State, fill: Callable[[Path], Filled]) -> tuple[Path, Filled]:
    """Add a bundle to those of a state directory, atomically.

    Args:
        bundles: The directory of bundles.
        state: The writes that the new bundle includes.
        fill: Writes the bundle into an empty directory, its manifest last.

    Returns:
        The new bundle's directory, and what `fill` returned.
    """
    bundles.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_unfinished(bundles)
    target = bundles / f"{state.sequence:0{_DIGITS}d}-{uuid.uuid4().hex[:8]}"

    def fill_directory(directory: Path) -> Filled:
        failpoint("compaction.before-items")
        result = fill(directory)
        failpoint("compaction.after-manifest")
        return result

    result = bundle.write_directory(target, fill_directory)
    failpoint("compaction.after-rename")
    return target, result


def candidates(root: Path, bundles: Path, state: State) -> Iterator[Path]:
    """Yield the bundles to start from, the newest compacted from `root` first, `root` itself last.

    The bundles' files are not checked.

    Args:
        root: The bundle that the server is given.
        bundles: The directory of compacted bundles.
        state: The log, and its last write.

    Raises:
        BundleError: the root is no bundle, or includes writes that the log lacks.
    """
    root_manifest = Manifest.read(root)
    require_log(root, root_manifest, state)
    for directory in finished(bundles):
        try:
            manifest = Manifest.read(directory)
        except BundleError as error:
            logger.warning("passed over: %s", error)
            continue
        of_root = manifest.root == (root_manifest.root or root_manifest.bundle_id)
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
    """Open the first of `candidates` that can be opened.

    Passing over a bundle loses nothing: an earlier bundle and the log have all its writes.

    Args:
        root: The bundle that the server is given.
        bundles: The directory of compacted bundles.
        state: The log, and its last write.
        open_bundle: Opens a bundle.
        passed_over: Called with each bundle that cannot be opened, and the error.

    Raises:
        InputError, OSError: as `candidates`; or no bundle can be opened.
    """
    for directory in candidates(root, bundles, state):
        try:
            return open_bundle(directory)
        except (InputError, OSError) as error:
            if directory == root:
                raise
            passed_over(directory, error)
    raise AssertionError("the root is the last candidate")


def remove_others(bundles: Path, keep: Path) -> None:
    """Remove all bundles but the one that replaced them."""
    failpoint("compaction.before-cleaning")
    for directory in finished(bundles):
        if directory != keep:
            remove(directory)
    remove_unfinished(bundles)
    failpoint("compaction.after-cleaning")


def remove(directory: Path) -> None:
    """Remove a bundle; a process that has its files open can still read them."""
    # The manifest goes first, so that an interrupted removal leaves no incomplete bundle.
    (directory / bundle.MANIFEST).unlink(missing_ok=True)
    failpoint("compaction.before-removal")
    shutil.rmtree(directory, ignore_errors=True)


def remove_unfinished(bundles: Path) -> None:
    """Remove the bundles that killed processes did not finish, or did not remove completely."""
    for directory in unfinished(bundles):
        shutil.rmtree(directory, ignore_errors=True)


def finished(bundles: Path) -> list[Path]:
    """Return the finished bundles of a state directory, the newest first."""
    return sorted((each for each in _directories(bundles) if _is_finished(each)), reverse=True)


def unfinished(bundles: Path) -> list[Path]:
    """Return the bundles that a process left unfinished, or is writing now."""
    return sorted(each for each in _directories(bundles) if not _is_finished(each))


def _directories(bundles: Path) -> list[Path]:
    """Return the directories that `add` created, and no files of other programs."""
    if not bundles.is_dir():
        return []
    named = [each for each in bundles.iterdir() if _NAME.fullmatch(_final_name(each.name))]
    return [each for each in named if each.is_dir() and not each.is_symlink()]


def _final_name(name: str) -> str:
    """Return a name without the marks that `bundle.write_directory` adds while it writes."""
    return name.removeprefix(".").removesuffix(".new").removesuffix(".old")


def _is_finished(directory: Path) -> bool:
    return bool(_NAME.fullmatch(directory.name)) and (directory / bundle.MANIFEST).exists()
