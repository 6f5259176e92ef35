"""A directory of bundles, and a server that can load them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bert.numerics import choose_numerics
from search import bundle
from server.config import ServerConfig
from tests import tiny
from tests.server.bundle_loader.admin import Serving, Swapping, copy, serve


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A directory of three bundles.

    "one" is the tiny bundle. "fewer" has fewer items and the same models. "other" has the same
    items and other models.
    """
    directory = tmp_path_factory.mktemp("bundles")
    copy(tiny_bundle, directory / "one")
    items, numerics = tiny.tiny_items(), choose_numerics()
    tiny.write_bundle(directory / "fewer", items[5:], numerics)
    tiny.write_bundle(directory / "other", items, numerics, seed=40)
    return directory


@pytest.fixture(scope="module")
def ids(root: Path) -> Mapping[str, str]:
    names = ("one", "fewer", "other")
    return {name: bundle.Manifest.read(root / name).bundle_id for name in names}


@pytest.fixture
def swapping(config: ServerConfig, root: Path, serving: Serving) -> Iterator[Swapping]:
    """A server of the bundle "one"."""
    with serve(config, root / "one", serving) as swapping:
        yield swapping
