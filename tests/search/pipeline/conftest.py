"""An engine for tests of rules."""

from dataclasses import replace

import pytest

from bert.numerics import choose_numerics
from search.engine import Engine
from tests.tiny import BY_SCORE, tiny_items, write_bundle


@pytest.fixture(scope="session")
def ruled(tmp_path_factory, compilation_cache) -> Engine:
    """An engine of the tiny items, with groups of two or three items, and with colours.

    Every sixth item has no group, and every fifth has no colour.
    """
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
    return Engine.load(directory, BY_SCORE)
