"""The command `shortlist import`, and the option `--from` of `shortlist train`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from base.errors import InputError
from catalog.dataset.problems import quote
from catalog.importing.cleaning.values import language
from catalog.importing.cleaning.words import CURRENCIES
from catalog.importing.importer import import_exports
from catalog.importing.mapping import read_mapping
from catalog.importing.report import Report

FormatName = Literal[
    "auto",
    "merchant",
    "shopify",
    "woocommerce",
    "magento",
    "home-depot",
    "esci",
    "wands",
    "ubi",
    "amazon-reviews",
    "shortlist",
]


@dataclass(frozen=True)
class ExportConfig:
    """How to read exports."""

    exports: tyro.conf.Positional[tuple[Path, ...]]  # files, and directories of files
    format: FormatName = "auto"  # format of the files; auto: the columns of each file show it
    mapping: Path | None = None  # TOML file that names the columns of files of another format
    # encoding of the text files, such as cp1252; auto: UTF-8, UTF-16 or Windows-1252, file by file
    encoding: str = "auto"
    # currency of prices that name none, such as EUR, and the meaning of signs such as $
    currency: str = ""
    # language of texts that name none, such as en; rows in other languages are left out
    language: str = ""
    decimal: Literal["auto", "point", "comma"] = "auto"  # decimal sign of numbers
    max_bad_rows: float = 0.05  # share of rows with a problem above which nothing is written

    def __post_init__(self) -> None:
        if not self.exports:
            raise InputError("no export; give files or directories")
        if not 0 <= self.max_bad_rows <= 1:
            raise InputError(f"--max-bad-rows: is {self.max_bad_rows:g}; give a share of 0 to 1")
        if self.currency and self.currency.upper() not in CURRENCIES:
            raise InputError(
                f"--currency: {quote(self.currency)} is no code of ISO 4217; give one such as EUR"
            )
        self.primary_language()  # refuses what is no language

    def primary_language(self) -> str:
        """Return the primary tag of the language, such as `en` for `en-US`; "": none.

        Raises:
            InputError: the option is no language.
        """
        try:
            return language(self.language) if self.language else ""
        except ValueError as error:
            raise InputError(f"--language: {error}") from None


@dataclass(frozen=True, kw_only=True)
class ImportConfig(ExportConfig):
    """Turn exports of a shop, or a public dataset, into a dataset directory."""

    out: Path  # dataset directory to write


def import_to(out: Path, config: ExportConfig) -> Report:
    """Import exports to a dataset directory; see `import_exports`."""
    return import_exports(
        config.exports,
        out,
        format=config.format,
        mapping=None if config.mapping is None else read_mapping(config.mapping),
        encoding="" if config.encoding == "auto" else config.encoding,
        currency=config.currency.upper(),
        language=config.primary_language(),
        decimal=config.decimal,
        max_bad_share=config.max_bad_rows,
    )


def main(arguments: Sequence[str], program: str) -> int:
    """Import exports, print the report, and return the exit code."""
    try:
        config = tyro.cli(ImportConfig, args=arguments, prog=program)
        report = import_to(config.out, config)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:  # such as a directory that cannot be written
        sys.stderr.write(f"error: {error.filename or ''}: {error.strerror or error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    return 0


def train_from_export(
    arguments: Sequence[str],
    check: Callable[[Sequence[str]], object],
    train: Callable[[Sequence[str]], int],
) -> int:
    """Import exports to OUT/dataset, train on the dataset, and return the exit code.

    Args:
        arguments: The arguments of `shortlist train`, with `--from EXPORT …` instead of `--data`,
            and options of `shortlist import`.
        check: Reads the arguments of `train`, and exits if they are wrong or ask for help.
        train: The command, which takes arguments with `--data`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--from", dest="exports", nargs="+", action="extend", default=[])
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--data")
    options = {name: f"--{name.replace('_', '-')}" for name in ExportConfig.__annotations__}
    del options["exports"]  # which --from gives
    for name, option in options.items():
        parser.add_argument(option, dest=name)
    known, rest = parser.parse_known_args(arguments)
    if known.data is not None:
        sys.stderr.write("error: --from: not with --data; give one of them\n")
        return 2
    dataset = known.out / "dataset"
    training = [*rest, "--out", str(known.out), "--data", str(dataset)]
    check(training)
    given = vars(known)
    of_import = [
        word
        for name, option in options.items()
        if (value := given[name]) is not None
        for word in (option, value)
    ]
    code = main([*known.exports, "--out", str(dataset), *of_import], "shortlist import")
    return code or train(training)
