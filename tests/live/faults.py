"""A delta index in which tests make steps fail or wait."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np

from lexical.live_index import LiveLexicalIndex
from live.delta_index import DeltaIndex
from live.item_vectors import ItemEncoder, item_vectors
from search.engine import Engine

Encode: TypeAlias = Callable[[Sequence[str]], np.ndarray]


def nothing() -> None:
    """Do nothing: the default of most hooks."""


def encode_all(encode: Encode, texts: Sequence[str]) -> np.ndarray:
    return encode(texts)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


@dataclass
class Faults:
    """Hooks of a delta index. Tests set them as attributes, or for a block with `faults.of()`."""

    before_apply: Callable[[], None] = nothing
    during_apply: Callable[[], None] = nothing  # after all writes, before they are visible
    before_show: Callable[[], None] = nothing
    before_vectors: Callable[[], None] = nothing  # after the pending items are read
    encode: Callable[[Encode, Sequence[str]], np.ndarray] = encode_all  # replaces the encoder
    after_lexical_update: Callable[[], None] = nothing

    @contextmanager
    def of(self, **faults: Any) -> Iterator[None]:
        before = replace(self)
        vars(self).update(faults)
        try:
            yield
        finally:
            vars(self).update({name: getattr(before, name) for name in faults})


class FaultyIndex(DeltaIndex):
    """A delta index that calls the hooks of a test."""

    def __init__(self, engine: Engine, scratch: Path, faults: Faults) -> None:
        self.faults = faults

        def make_vectors(encoder: ItemEncoder, items: Any, snapshots: Any) -> Any:
            faults.before_vectors()
            return item_vectors(_FaultyEncoder(encoder, faults), items, snapshots)

        def open_lexical(directory: Path, opened: Any, scratch: Path) -> LiveLexicalIndex:
            return _FaultyLexicalIndex(directory, opened, scratch, faults)

        super().__init__(engine, scratch, make_vectors=make_vectors, open_lexical=open_lexical)

    def apply(self, writes: Iterable[Any]) -> None:
        def last() -> Iterator[Any]:
            self.faults.during_apply()
            yield from ()

        self.faults.before_apply()
        super().apply(chain(writes, last()))

    def show(self, *arguments: Any) -> int:
        self.faults.before_show()
        return super().show(*arguments)


class _FaultyEncoder:
    def __init__(self, encoder: ItemEncoder, faults: Faults) -> None:
        self.dim = encoder.dim
        self._encoder = encoder
        self._faults = faults

    def items(self, texts: Sequence[str]) -> np.ndarray:
        return self._faults.encode(self._encoder.items, texts)


class _FaultyLexicalIndex(LiveLexicalIndex):
    def __init__(self, directory: Path, opened: Any, scratch: Path, faults: Faults) -> None:
        self._faults = faults
        self._failed = False
        super().__init__(directory, opened, scratch)

    def update(self, added: Any, removed: Any, rows: int) -> Any:
        if self._failed:  # like tantivy's writer after a failure: added rows are lost in silence
            return super().update({}, removed, rows)
        self._failed = True
        index = super().update(added, removed, rows)
        self._faults.after_lexical_update()
        self._failed = False
        return index
