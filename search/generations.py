"""The bundles of a state directory: each has the writes of its log up to one of them.

Whichever of them is whole will do to begin with, for the log has what it lacks.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catalog.failpoints import failpoint
from search import bundle
from search.bundle import BundleError, Manifest

BUNDLES = "bundles"  # where they are in a state directory
_DIGITS = 12  # of a sequence in a name, so that names sort


@dataclass(frozen=True)
class State:
    """What of a log a bundle's items include."""

    log: str  # which log
    sequence: int  # all its writes up to this one


def included(manifest: Manifest, log: str) -> int:
    """Up to which write of a log a bundle's items include everything; 0 of another log."""
    state = manifest.state
    return int(state["sequence"]) if state and state["log"] == log else 0


def place(bundles: Path, state: State, fill: Callable[[Path], None]) -> Path:
    """Put a bundle among those of a state directory, whole or not at all.

    Args:
        bundles: Where they are.
        state: What of the log it includes.
        fill: Writes it into an empty directory, its manifest last.
    """
    bundles.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = bundles / f"{state.sequence:0{_DIGITS}d}"

    def filled(directory: Path) -> None:
        failpoint("compaction.before-items")
        fill(directory)
        failpoint("compaction.after-manifest")

    bundle.write_directory(target, filled)
    failpoint("compaction.after-rename")
    return target


def newest(root: Path, bundles: Path, log: str) -> Path:
    """The bundle to begin with: the last one compacted from `root`, else `root` itself.

    Raises:
        BundleError: the root is no bundle.
    """
    of = Manifest.read(root).bundle_id
    for directory in sorted(_built(bundles), reverse=True):
        try:
            manifest = bundle.verify(directory)
        except BundleError:
            continue  # damaged: an earlier one and the log have all that it had
        if (manifest.state or {}).get("log") == log and manifest.root == of:
            return directory
    return root


def clean(bundles: Path, keep: Path) -> None:
    """Remove the bundles that one has taken the place of; who has their files open keeps them."""
    failpoint("compaction.before-cleaning")
    for directory in _built(bundles):
        if directory != keep:
            shutil.rmtree(directory, ignore_errors=True)
    failpoint("compaction.after-cleaning")


def _built(bundles: Path) -> list[Path]:
    if not bundles.is_dir():
        return []
    return [each for each in bundles.iterdir() if each.name.isdecimal() and each.is_dir()]
