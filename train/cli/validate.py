"""The command `validate`, which needs none of the packages that training needs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from search.curation.table import Curations


@dataclass(frozen=True)
class ValidateConfig:
    """Read a dataset, report every problem, and count its rows."""

    data: str  # dataset directory


def main(arguments: Sequence[str], program: str) -> int:
    """Validate a dataset, and return the exit code; `program` is the name in help texts."""
    try:
        validate(tyro.cli(ValidateConfig, args=arguments, prog=program))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:  # such as a file that may not be read
        sys.stderr.write(f"error: {error.filename or ''}: {error.strerror or error}\n")
        return 2
    return 0


def validate(config: ValidateConfig) -> None:
    """Read a dataset, report every problem, and count its rows."""
    dataset = read_dataset(Path(config.data))
    Curations.read(Path(config.data))
    console = Console()
    for warning in dataset.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False)
    tables = {
        "items": dataset.items,
        "judgments": dataset.judgments,
        "events": dataset.events,
        "users": dataset.users,
    }
    sizes = [f"{table.num_rows:,} {name}" for name, table in tables.items() if table is not None]
    console.print(f"{dataset.info.name}: {', '.join(sizes)}; no errors", highlight=False)
