"""An engine for rules."""

from dataclasses import replace

import pytest

from bert.numerics import choose_numerics
from search.engine import Engine
from tests.tiny import tiny_items, write_bundle


@pytest.fixture(scope="session")
def ruled(tmp_path_factory, compilation_cache) -> Engine:
    """The tiny bundle in groups of two or three, every sixth item in none, and some colours."""
    items = [
        replace(
            item,
            group_id=None if row % 6 == 5 else item.item_id.rsplit("-", 1)[0],
            attributes={"colour": ("red", "green")[row % 2]} if row % 5 else {},
        )
        for row, item in enumerate(tiny_items())
    ]
    directory = tmp_path_factory.mktemp("ruled") / "bundle"
    write_bundle(directory, items, choose_numerics())
    return Engine.load(directory)
