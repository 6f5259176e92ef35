"""Measure the time of recommendations for histories of a dataset, on one core, without a server.

    python -m bench.service.recommend --bundle out/bundle --data my-shop

Each person of the dataset's events is asked for once, in random order, with the latest events as
the history and the time of the last event as the present. `cpu` is the processor time of the
thread, without the time that other programs take.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from base.errors import InputError
from behaviour.histories import PastEvent
from behaviour.interactions import Interactions
from catalog.dataset.reading import read_dataset
from catalog.events import EVENT_TYPES
from catalog.store import ItemStore
from search.config import EngineConfig
from search.engine import Engine
from search.people.person import Person, Recommending, Surface
from search.request import SearchRequest


@dataclass(frozen=True)
class RecommendTimesConfig:
    """Options of `python -m bench.service.recommend`."""

    bundle: Path  # a bundle with counts of behaviour
    data: Path  # a dataset with events
    people: int = 1_000  # maximum number of people
    history: int = 200  # maximum number of events of a history, the latest ones
    page_size: int = 20  # number of results per call
    seed: int = 0  # seed of the order of people
    engine: EngineConfig = field(default_factory=EngineConfig)


def histories(config: RecommendTimesConfig) -> list[tuple[PastEvent, ...]]:
    """Return the latest events of people, drawn at random.

    Raises:
        InputError: the dataset has no events.
    """
    dataset = read_dataset(config.data)
    if dataset.events is None:
        raise InputError(f"{config.data} has no events, so no histories")
    item_ids = ItemStore(dataset.items).ids
    past = Interactions.of_events(dataset.events, item_ids)
    order = np.random.default_rng(config.seed).permutation(past.users)[: config.people]
    return [
        tuple(
            PastEvent(
                int(past.time[event]) * 1_000_000,
                event,
                EVENT_TYPES[past.type[event]],
                item_ids[past.item[event]],
            )
            for event in range(max(events.start, events.stop - config.history), events.stop)
        )
        for events in map(past.events_of, order.tolist())
    ]


def requests(history: tuple[PastEvent, ...], page_size: int) -> dict[str, SearchRequest]:
    """Return one request per surface; the last item of the history is the item of the page."""
    person = Person(history=history, now=history[-1].time)
    last = (history[-1].item_id,)
    surfaces = {
        Surface.HOME: (),
        Surface.PRODUCT: last,
        Surface.BASKET: tuple(dict.fromkeys(event.item_id for event in history[-5:])),
        Surface.SIMILAR: last,
        Surface.COMPLEMENTARY: last,
    }
    return {
        surface.value: SearchRequest(
            recommending=Recommending(surface, items), person=person, page_size=page_size
        )
        for surface, items in surfaces.items()
    }


def line(name: str, seconds: Sequence[tuple[float, float]]) -> str:
    """Return the percentiles of wall and processor times in milliseconds, as a line to print."""
    wall, cpu = 1000 * np.array(seconds).T
    shown = (
        f"{clock} p50 {np.percentile(values, 50):.2f}, p95 {np.percentile(values, 95):.2f}"
        for clock, values in (("wall", wall), ("cpu", cpu))
    )
    return f"{name:<14} {'; '.join(shown)} ms over {len(seconds):,} calls\n"


def main(config: RecommendTimesConfig) -> None:
    """Recommend to everyone, and print the times."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    people = histories(config)
    engine = Engine.load(config.bundle, config.engine, warm=True, replay=False)
    times: dict[str, list[tuple[float, float]]] = {}
    for number, history in enumerate(people):
        for name, request in requests(history, config.page_size).items():
            wall, cpu = time.perf_counter(), time.thread_time()
            engine.search(request)
            spent = (time.perf_counter() - wall, time.thread_time() - cpu)
            if number:  # the first person's calls load what later calls reuse
                times.setdefault(name, []).append(spent)
    length = float(np.mean([len(history) for history in people]))
    sys.stdout.write(
        f"{len(engine.snapshot.catalogue):,} items, {len(people):,} people, "
        f"{length:.0f} events on average\n"
    )
    for name, seconds in times.items():
        sys.stdout.write(line(name, seconds))


if __name__ == "__main__":
    main(tyro.cli(RecommendTimesConfig, prog="python -m bench.service.recommend"))
