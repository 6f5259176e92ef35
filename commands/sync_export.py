"""The command `shortlist sync`: bring a running server up to an export."""

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from catalog.store import ItemStore
from commands.import_exports import ExportConfig, import_to
from server.cli.sync import CallError, SyncTarget, sync

_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")


@dataclass(frozen=True)
class SyncConfig(SyncTarget, ExportConfig):
    """Write what an export changes to a running server.

    The export is compared with the server's items, field by field, and only what differs is
    written. Nothing is written if the export cannot be read, or lacks too many of the items.
    """

    @property
    def max_share(self) -> float:
        """The value of `max_deletions`, from 0 to 1."""
        match = _SHARE.fullmatch(self.max_deletions.strip())
        share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
        if not 0 <= share <= 1:
            raise InputError(
                f"--max-deletions {self.max_deletions}: is no share; give one such as 5% or 0.05"
            )
        return share


def main(arguments: Sequence[str], program: str) -> int:
    """Synchronise a server, and return the exit code.

    Returns:
        0 if the server has what the export has, or with `--dry-run`; 1 if a call failed or the
        server refused a write; 2 if the export or a flag is refused, and nothing was written.
    """
    try:
        config = tyro.cli(SyncConfig, args=arguments, prog=program)
        share = config.max_share
        with tempfile.TemporaryDirectory(prefix="shortlist-") as folder:
            directory = Path(folder) / "export"
            report = import_to(directory, config)
            for problem in report.problems:
                _say(f"problem: {problem}")
            items = ItemStore(read_dataset(directory).items)
        return 0 if sync(items, config, share, _say, unread=report.unread) else 1
    except CallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except (InputError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:  # such as a token file that cannot be read
        sys.stderr.write(f"error: {error.filename or ''}: {error.strerror or error}\n")
        return 2


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
