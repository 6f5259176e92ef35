"""The bundles of a state directory; each includes the log's writes up to a sequence number.

A server can start from any finished bundle, because the log has the writes that the bundle lacks.
Only the process that has the log open for writing adds or removes bundles.
"""

import logging
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
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

BUNDLES = "bundles"  # name of the bundles' directory in a state directory
_DIGITS = 12  # width of the sequence number in a bundle's name, so that names sort by the number
# The random part makes each name unique, so a new bundle never overwrites a bundle in use.
_NAME = re.compile(rf"[0-9]{{{_DIGITS}}}-[0-9a-f]{{8}}")


@dataclass(frozen=True)
class State:
    """The writes that a bundle's items include."""

    log: str  # id of the log
    sequence: int  # sequence number of the last included write


def _warn(directory: Path, error: Exception) -> None:
    logger.warning("bundle passed over: path=%s reason=%r", directory, str(error))


def included(manifest: Manifest, log: str) -> int:
    """Return the sequence number of a log's last write that a bundle includes; 0 if it has none."""
    state = manifest.state
    return int(state["sequence"]) if state and state["log"] == log else 0


def require_log(directory: Path, manifest: Manifest, state: State) -> None:
    """Check that a log still has all of its writes that a bundle includes.

    If the log has lost writes, new writes get the sequence numbers of the lost writes. The bundle
    would then seem to include the new writes.

    Raises:
        BundleError: the log lacks writes that the bundle includes.
    """
    if (last := included(manifest, state.log)) > state.sequence:
        raise BundleError(
            f"{directory} has writes of the log up to {last}, and the log ends at "
            f"{state.sequence}: it lost writes; restore the later log, move the bundle away, or "
            "give another --state"
        )


def add(bundles: Path, state: State, fill: Callable[[Path], Filled]) -> tuple[Path, Filled]:
    """Add a bundle to a state directory, atomically.

    Args:
        bundles: The directory of bundles.
        state: The writes that the new bundle includes.
        fill: Writes the bundle into an empty directory, its manifest last.

    Returns:
        The new bundle's directory, and the result of `fill`.
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


def candidates(root: Path, compacted: Sequence[Path], state: State) -> Iterator[Path]:
    """Yield the bundles that a server may start from: the newest first, `root` last.

    All bundles except `root` were compacted from `root`. Only the manifests are read; other files
    are not checked.

    Args:
        root: The bundle that the server is started with.
        compacted: The compacted bundles that were finished before the log was read, newest first.
        state: The log, and its last write.

    Raises:
        BundleError: `root` is not a bundle, or a bundle includes writes that the log lacks, or a
            compacted bundle includes writes of another log.
    """
    root_manifest = Manifest.read(root)
    require_log(root, root_manifest, state)
    for directory in compacted:
        try:
            manifest = Manifest.read(directory)
        except BundleError as error:
            _warn(directory, error)
            continue
        _refuse_lost_log(directory, manifest, state)
        require_log(directory, manifest, state)
        if manifest.root == (root_manifest.root or root_manifest.bundle_id):
            yield directory
    yield root


def _refuse_lost_log(directory: Path, manifest: Manifest, state: State) -> None:
    """Raise BundleError if a compacted bundle has writes of a log that is no longer there."""
    if _log_of(manifest) != state.log:
        raise BundleError(
            f"{directory} has writes of another log, so the log of this state directory was lost "
            f"or replaced; restore the log, or move {directory.parent} away to go on without them"
        )


def _log_of(manifest: Manifest) -> str | None:
    return None if manifest.state is None else str(manifest.state["log"])


def newest(
    root: Path,
    compacted: Sequence[Path],
    state: State,
    open_bundle: Callable[[Path], Opened],
    passed_over: Callable[[Path, Exception], None] = _warn,
) -> Opened:
    """Open the first of `candidates` that can be opened.

    No write is lost if a bundle is passed over: the log has the writes that earlier bundles lack.

    Args:
        root: The bundle that the server is started with.
        compacted: The compacted bundles that were finished before the log was read, newest first.
        state: The log, and its last write.
        open_bundle: Opens a bundle.
        passed_over: Called with each bundle that cannot be opened, and the error.

    Raises:
        InputError, OSError: `candidates` fails, or no bundle can be opened.
    """
    for directory in candidates(root, compacted, state):
        try:
            return open_bundle(directory)
        except (InputError, OSError) as error:
            if directory == root:
                raise
            passed_over(directory, error)
    raise AssertionError("the root is the last candidate")


def remove_others(bundles: Path, keep: Path) -> None:
    """Remove the bundles that `keep` replaced; bundles of another log stay."""
    failpoint("compaction.before-cleaning")
    log = _log_of(Manifest.read(keep))
    for directory in finished(bundles):
        if directory != keep and _belongs_to(directory, log):
            remove(directory)
    remove_unfinished(bundles)
    failpoint("compaction.after-cleaning")


def _belongs_to(directory: Path, log: str | None) -> bool:
    try:
        return _log_of(Manifest.read(directory)) == log
    except BundleError:  # such a bundle cannot be used
        return True


def remove(directory: Path) -> None:
    """Remove a bundle; a process that has its files open can still read them."""
    # Remove the manifest first: a bundle without a manifest counts as unfinished, so an interrupted
    # removal is completed later.
    (directory / bundle.MANIFEST).unlink(missing_ok=True)
    failpoint("compaction.before-removal")
    shutil.rmtree(directory, ignore_errors=True)


def remove_unfinished(bundles: Path) -> None:
    """Remove bundles that a killed process did not finish or did not remove completely."""
    for directory in unfinished(bundles):
        shutil.rmtree(directory, ignore_errors=True)


def finished(bundles: Path) -> list[Path]:
    """Return the finished bundles of a state directory, the newest first."""
    return sorted((path for path in _directories(bundles) if _is_finished(path)), reverse=True)


def unfinished(bundles: Path) -> list[Path]:
    """Return the bundles without a manifest: a process is writing them, or left them unfinished."""
    return sorted(path for path in _directories(bundles) if not _is_finished(path))


def _directories(bundles: Path) -> list[Path]:
    """Return the directories that `add` created; leave out files of other programs."""
    if not bundles.is_dir():
        return []
    paths = [path for path in bundles.iterdir() if _NAME.fullmatch(_final_name(path.name))]
    return [path for path in paths if path.is_dir() and not path.is_symlink()]


def _final_name(name: str) -> str:
    """Return a name without the dot and the suffix that `bundle.write_directory` adds."""
    return name.removeprefix(".").removesuffix(".new").removesuffix(".old")


def _is_finished(directory: Path) -> bool:
    return bool(_NAME.fullmatch(directory.name)) and (directory / bundle.MANIFEST).exists()
