"""Settings and fixtures of all tests."""

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import jax
import pytest

from tests.authority import Authority
from tests.signatures import check_signatures

if TYPE_CHECKING:
    from bert.tokens import Tokenizer
    from search.engine import Engine

# This must precede every import of our packages.
check_signatures(
    [
        "base",
        "catalog",
        "behaviour",
        "demo",
        "lexical",
        "bert",
        "towers",
        "rerank",
        "search",
        "live",
        "server",
        "train",
    ]
)
jax.config.update("jax_numpy_rank_promotion", "raise")

# No time limit per example, because the speed of the machine varies.
hypothesis.settings.register_profile("shortlist", deadline=None)
hypothesis.settings.load_profile("shortlist")


# Directories whose files take longest.
_LONGEST = ("train/pipeline", "train", "docs", "clients", "commands", "server", "live", "search")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that starts last would run alone at the end."""

    def place(item: pytest.Item) -> int:
        directory = item.path.relative_to(Path(__file__).parent).as_posix()
        begun = (n for n, name in enumerate(_LONGEST) if directory.startswith(f"{name}/"))
        return next(begun, len(_LONGEST))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore logging after a test, because a tested command configures this process's logging."""
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("server", "search")]
    handlers, levels = list(root.handlers), [logger.level for logger in ours]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    for handler in [each for each in root.handlers if each not in handlers]:
        root.removeHandler(handler)
    for logger, level in zip(ours, levels, strict=True):
        logger.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that finds a dataset by name; without the dataset, it skips the test."""

    def find(name: str) -> Path:
        root = os.environ.get("SHORTLIST_DATA")
        if not root:
            pytest.skip("SHORTLIST_DATA is not set; point it at the directory of real datasets")
        directory = Path(root) / name
        if not directory.is_dir():
            pytest.skip(f"SHORTLIST_DATA has no directory {name}")
        return directory

    return find


@pytest.fixture(scope="session")
def multilingual_e5() -> Path:
    """The directory of multilingual-e5-small; without it, the test is skipped."""
    root = os.environ.get("SHORTLIST_MODELS")
    if not root:
        pytest.skip("SHORTLIST_MODELS is not set; point it at a directory of pretrained models")
    directory = Path(root) / "multilingual-e5-small"
    if not directory.is_dir():
        pytest.skip(f"SHORTLIST_MODELS has no directory {directory.name}")
    return directory


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache of compiled programs for all tests, also for those that run in parallel."""
    from bert.compilation_cache import enable_compilation_cache

    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each parallel process has a directory of its own
        directory = directory.parent
    directory /= "compiled"
    enable_compilation_cache(directory)
    yield directory
    enable_compilation_cache(None)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, compilation_cache: Path) -> Path:
    """A complete bundle of a few dozen items. Both stages have random weights."""
    from bert.numerics import choose_numerics
    from tests import tiny

    directory = tmp_path_factory.mktemp("tiny") / "bundle"
    tiny.write_bundle(directory, tiny.tiny_items(), choose_numerics())
    return directory


@pytest.fixture(scope="session")
def recall_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle without its reranker."""
    from bert.numerics import choose_numerics
    from search import bundle
    from tests import tiny

    directory = tmp_path_factory.mktemp("recall") / "bundle"
    shutil.copytree(tiny_bundle, directory)
    shutil.rmtree(directory / bundle.RERANK)
    tiny.write_manifest(directory, choose_numerics())
    return directory


@pytest.fixture(scope="session")
def people_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with the counts of what shoppers bought (see `tests.shoppers`)."""
    from tests import shoppers

    directory = tmp_path_factory.mktemp("people") / "bundle"
    shoppers.write_people_bundle(directory, tiny_bundle, shoppers.purchases())
    return directory


@pytest.fixture(scope="session")
def tower_bundle(people_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people bundle with a user tower (see `tests.shoppers`)."""
    from tests import shoppers

    directory = tmp_path_factory.mktemp("tower") / "bundle"
    shoppers.write_tower_bundle(directory, people_bundle)
    return directory


@pytest.fixture(scope="session")
def engine(tiny_bundle: Path) -> "Engine":
    """The engine of the tiny bundle. Its results are ordered by score alone by default."""
    from search.engine import Engine
    from tests.tiny import BY_SCORE

    return Engine.load(tiny_bundle, BY_SCORE)


@pytest.fixture(scope="session")
def tokenizer() -> "Tokenizer":
    """The tokenizer of the pretrained model."""
    from bert.params import DEFAULT_PRETRAINED, resolve_pretrained
    from bert.tokens import Tokenizer

    return Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with certificates NAME.pem and keys NAME.key.

    The authority is `ca`. It signed `server`, `client` and `expired`. A second authority,
    `stranger`, signed `foreign`.
    """
    scratch = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(scratch, "ca"), Authority(scratch, "stranger")
    for name in ("server", "client"):
        authority.sign(name)
    authority.sign("expired", days=-1)
    stranger.sign("foreign")
    for end in ("pem", "key"):
        shutil.copyfile(stranger.directory / f"ca.{end}", authority.directory / f"stranger.{end}")
        shutil.copyfile(
            stranger.directory / f"foreign.{end}", authority.directory / f"foreign.{end}"
        )
    return authority.directory
