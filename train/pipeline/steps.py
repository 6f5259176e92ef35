"""Steps of a training run. Each writes one directory, atomically, with a hash of its inputs."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import InputError
from base.locks import DirectoryLock
from search.bundle import write_directory

logger = logging.getLogger(__name__)

_STEP_FILE = "step.json"


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Lock a directory against other runs; if the process ends, the lock ends, too.

    Raises:
        InputError: another run is writing to the directory.
    """
    out.mkdir(parents=True, exist_ok=True)
    conflict = f"another run is writing to {out}; wait for it, or give another --out"
    with DirectoryLock(out, conflict):
        yield


@dataclass(frozen=True)
class TrainingStep:
    """One step of a run.

    Attributes:
        name: Name on the command line.
        directory: Directory that the step writes.
        inputs: Everything that determines the result, as JSON values.
        build: A function of two directories, which returns a report. It writes the result to the
            first directory, which is empty. It keeps checkpoints in the second directory, and
            resumes from these checkpoints.
    """

    name: str
    directory: Path
    inputs: Mapping[str, Any]
    build: Callable[[Path, Path], Mapping[str, Any]]

    @property
    def digest(self) -> str:
        """Hash of the inputs."""
        return hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    @property
    def unfinished(self) -> Path:
        """The directory of checkpoints, which exists until the step is done."""
        return self.directory.with_name(f"{self.name}-unfinished-{self.digest[:12]}")

    @property
    def done(self) -> bool:
        """Whether the directory contains the step's result for these inputs."""
        return _read(self.directory).get("digest") == self.digest

    @property
    def report(self) -> dict[str, Any]:
        """The report of the finished step."""
        return report_of(self.directory)

    def run(self) -> None:
        """Run the step, unless it is done."""
        if self.done:
            logger.info("up to date: step=%s", self.name)
            return
        logger.info("started: step=%s", self.name)
        start = time.monotonic()

        def build(directory: Path) -> None:
            report = dict(self.build(directory, self.unfinished))
            report["seconds"] = round(time.monotonic() - start, 1)
            values = {"digest": self.digest, "report": report, "inputs": self.inputs}
            (directory / _STEP_FILE).write_text(json.dumps(values, indent=1) + "\n")

        write_directory(self.directory, build)
        # Delete the checkpoints of this run, and of unfinished runs with other options.
        for checkpoints in self.directory.parent.glob(f"{self.name}-unfinished-*"):
            shutil.rmtree(checkpoints, ignore_errors=True)
        logger.info("done: step=%s %s", self.name, _fields(self.report))

    def require(self) -> None:
        """Check that the step is done.

        Raises:
            InputError: the step is not done, or was done with other inputs.
        """
        if not self.done:
            state = (
                "was done with other data or options" if _read(self.directory) else "is not done"
            )
            raise InputError(
                f"step {self.name} {state}: run `shortlist train {self.name}` with the same "
                "options first, or `shortlist train all`"
            )


def report_of(directory: Path) -> dict[str, Any]:
    """Return the report of the finished step in a directory; it is empty without one."""
    return dict(_read(directory).get("report", {}))


def _fields(report: Mapping[str, Any]) -> str:
    """Format a report as key=value fields, without curves; nested values are JSON."""
    values = {
        name: json.dumps(value, separators=(",", ":"))
        for name, value in report.items()
        if not isinstance(value, list)
    }
    return " ".join(f"{name}={value}" for name, value in values.items())


def _read(directory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((directory / _STEP_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{directory / _STEP_FILE} cannot be read ({error}); delete {directory} and run again"
        ) from error
