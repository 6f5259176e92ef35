"""Measurements that are kept in a directory, so that a long evaluation can be continued."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from base.atomic_files import write_text
from base.errors import InputError
from base.untrusted.small_files import read_object
from train.evaluation.recommend.report import Measured

Runs = dict[str, dict[str, list[Measured]]]  # by case and system
_SETTINGS = "settings.json"


class Kept:
    """The measurements of the finished parts of an evaluation, one file each."""

    def __init__(self, directory: Path | None, settings: Mapping[str, Any]) -> None:
        """Continue the evaluation of a directory, or start one; None keeps nothing.

        Raises:
            InputError: the directory has measurements with other settings.
        """
        self._directory = directory
        if directory is None:
            return
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / _SETTINGS
        wanted = json.loads(json.dumps(settings, default=str))
        if path.is_file() and read_object(path) != wanted:
            raise InputError(f"{path} has other options or other data; give an empty directory")
        write_text(path, json.dumps(wanted))

    def part(self, name: str) -> Runs | None:
        """Return the measurements of a part; None if it is not finished."""
        if self._directory is None or not (path := self._directory / f"{name}.json").is_file():
            return None
        content = json.loads(path.read_text("utf-8"))
        return {
            case: {
                system: [
                    Measured(
                        run["user_ids"],
                        {name: _array(values) for name, values in run["metrics"].items()},
                        run["coverage"],
                    )
                    for run in runs
                ]
                for system, runs in systems.items()
            }
            for case, systems in content.items()
        }

    def keep(self, name: str, runs: Runs) -> None:
        """Write the measurements of a part."""
        if self._directory is None:
            return
        content = {
            case: {system: [_plain(run) for run in of] for system, of in systems.items()}
            for case, systems in runs.items()
        }
        write_text(self._directory / f"{name}.json", json.dumps(content))


def _plain(run: Measured) -> dict[str, Any]:
    metrics = {
        name: [None if np.isnan(value) else value for value in values.tolist()]
        for name, values in run.metrics.items()
    }
    return {"user_ids": list(run.user_ids), "metrics": metrics, "coverage": run.coverage}


def _array(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)
