"""Turn a shop's own CSV export into a dataset, and build a bundle from the dataset.

    python examples/train_from_csv.py export.csv --out out/my-shop

The export of this example has the columns `sku`, `name`, `maker`, `path` and `gross`. For other
columns, change COLUMNS. A pandas data frame with these columns is exported by
`frame.to_csv("export.csv")`.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

# Columns of a dataset's table `items`, by the column of the export.
COLUMNS = {
    "sku": "item_id",
    "name": "title",
    "maker": "brand",
    "path": "category",
    "gross": "price",
}
NUMBERS = {"price"}


def item(row: Mapping[str, str]) -> dict[str, str | float]:
    """Return one item of a dataset from a row of the export; empty cells are left out."""
    cells = {COLUMNS[name]: text.strip() for name, text in row.items() if name in COLUMNS}
    return {
        name: float(text.replace(",", ".")) if name in NUMBERS else text
        for name, text in cells.items()
        if text
    }


def write_items(rows: Iterable[Mapping[str, str]], dataset: Path) -> None:
    """Write the table `items` of a dataset."""
    dataset.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(item(row), ensure_ascii=False) + "\n" for row in rows]
    (dataset / "items.jsonl").write_text("".join(lines), encoding="utf-8")


def main() -> int:
    """Convert the export and train; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/my-shop"))
    arguments = parser.parse_args()
    dataset = arguments.out / "dataset"
    with arguments.export.open(encoding="utf-8", newline="") as file:
        write_items(csv.DictReader(file), dataset)
    train = ["train", "--data", str(dataset), "--out", str(arguments.out)]
    # This is the command `shortlist train`. -P keeps this directory off the import path.
    return subprocess.run([sys.executable, "-P", "-m", "commands", *train], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
