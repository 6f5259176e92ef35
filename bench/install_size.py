"""Measure what an installation of each extra takes: `python -m bench.install_size`.

Each extra is installed in a new environment with the pinned versions of `requirements.txt`. The
packages come from the cache of uv, or from the package index.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("", "serve", "train", "all")


@dataclass(frozen=True)
class InstallSizeConfig:
    """Options of `python -m bench.install_size`."""

    extras: tuple[str, ...] = EXTRAS  # extras to measure; the empty one is a plain installation


def install(extra: str, directory: Path) -> Path:
    """Install Shortlist with an extra, and return the directory of its packages."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = directory / "bin" / "python"
    requirement = f"shortlist[{extra}] @ {ROOT.as_uri()}" if extra else str(ROOT)
    pinned = ["--constraint", str(ROOT / "requirements.txt")]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(directory)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *pinned, requirement],
    ):
        subprocess.run(command, check=True)  # noqa: S603 - our own arguments
    [packages] = directory.glob("lib/python*/site-packages")
    return packages


def main(config: InstallSizeConfig) -> None:
    """Print one row of a Markdown table per extra."""
    sys.stdout.write("| install | packages | MB |\n| --- | --- | --- |\n")
    for extra in config.extras:
        with tempfile.TemporaryDirectory() as scratch:
            packages = install(extra, Path(scratch) / "venv")
            size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())
            count = len(list(packages.glob("*.dist-info")))
        name = f"shortlist[{extra}]" if extra else "shortlist"
        sys.stdout.write(f"| `pip install '{name}'` | {count} | {size / 1e6:,.0f} |\n")


if __name__ == "__main__":
    main(tyro.cli(InstallSizeConfig, prog="python -m bench.install_size"))
