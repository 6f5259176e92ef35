"""A delta index in which tests make steps fail or wait."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np

from live.indexing.delta_index import DeltaIndex
from live.indexing.item_vectors import ItemEncoder, item_vectors
from search.channels.base import AddedRows
from search.channels.fusion import Channels, ChannelsWriter
from search.curation.curation import Curation
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
    before_curate: Callable[[], None] = nothing
    before_show: Callable[[], None] = nothing
    before_vectors: Callable[[], None] = nothing  # after the pending items are read
    encode: Callable[[Encode, Sequence[str]], np.ndarray] = encode_all  # replaces the encoder
    after_rows_are_added: Callable[[], None] = nothing  # to the recall channels

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

        def open_writer(*arguments: Any) -> ChannelsWriter:
            return _FaultyWriter(faults, *arguments)

        super().__init__(engine, scratch, make_vectors=make_vectors, open_writer=open_writer)

    def apply(self, writes: Iterable[Any]) -> None:
        def last() -> Iterator[Any]:
            self.faults.during_apply()
            yield from ()

        self.faults.before_apply()
        super().apply(chain(writes, last()))

    def curate(self, curations: Sequence[Curation]) -> None:
        self.faults.before_curate()
        super().curate(curations)

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


class _FaultyWriter(ChannelsWriter):
    def __init__(self, faults: Faults, *arguments: Any) -> None:
        self._faults = faults
        self._failed = False
        super().__init__(*arguments)

    def extended(self, added: AddedRows) -> Channels:
        if self._failed:  # like tantivy's writer after a failure: added rows are lost in silence
            rows = range(added.first, added.first + len(added.items))
            return super().extended(replace(added, dead=[*added.dead, *rows]))
        self._failed = True
        channels = super().extended(added)
        self._faults.after_rows_are_added()
        self._failed = False
        return channels
