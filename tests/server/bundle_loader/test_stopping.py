"""Loads that take too long, or whose caller leaves, stop at their next step."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from base.errors import InputError
from search import bundle
from search.bundle import Manifest, golden
from search.bundle.models import Models
from search.config import EngineConfig
from search.engine import Engine
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, call_scope
from search.runtime.deadline import caller_check
from server.bundle_loader import BundleLoader
from server.config import ServerConfig
from server.worker_pool import StoppingError
from shortlist.v1 import admin_service_pb2, admin_service_pb2_grpc
from tests.server.bundle_loader.admin import Serving, Swapping, copy
from tests.timing import eventually

LEFT = "the call was cancelled, or its deadline passed"


@pytest.fixture(scope="module")
def endless(root: Path) -> str:
    """The name of a bundle with a file of one TiB, whose digest takes longer than any test."""
    copy(root / "one", root / "endless")
    with (root / "endless" / "extra").open("wb") as file:
        file.truncate(2**40)  # a sparse file
    manifest = Manifest.read(root / "endless")
    extra = {"size": 2**40, "sha256": "0" * 64}
    manifest.with_files({**manifest.files, "extra": extra}).write(root / "endless")
    return "endless"


def wait_for_load(swapping: Swapping, *, loading: bool) -> None:
    eventually(lambda: swapping.admin.status().HasField("loading") == loading)


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_a_load_stops_when_its_caller_leaves(
    swapping: Swapping, endless: str, ids: Mapping[str, str], how: str
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{swapping.server.service.admin_port}") as channel:
        stub = admin_service_pb2_grpc.AdminServiceStub(channel)
        request = admin_service_pb2.LoadBundleRequest(path=endless)
        call = stub.LoadBundle.future(request, timeout=2 if how == "deadline" else 120)
        wait_for_load(swapping, loading=True)
        if how == "cancel":
            call.cancel()
        wait_for_load(swapping, loading=False)
    failure = swapping.admin.status().last_failure
    assert (Path(failure.path).name, failure.reason) == (endless, LEFT)
    assert swapping.client.search("cable").bundle_id == ids["one"]
    assert swapping.admin.load("fewer").bundle_id == ids["fewer"]
    assert not swapping.admin.status().HasField("last_failure")


def test_a_start_that_takes_too_long_is_given_up(
    config: ServerConfig, root: Path, endless: str, serving: Serving
) -> None:
    config = replace(config, bundle=root / endless, load_seconds=0.5)
    with (
        pytest.raises(InputError, match=r"endless took more than 0.5 s; give more --load-seconds"),
        serving(config),
    ):
        pass


class Impatient(CallContext):
    """A caller that leaves after a number of steps."""

    def __init__(self, steps: float = float("inf")) -> None:
        super().__init__()
        self.steps = steps
        self.done = 0

    def expired(self, seconds: float = 0.0) -> bool:
        self.done += 1
        return super().expired(seconds) or self.done > self.steps


def test_every_part_of_a_load_has_steps(root: Path) -> None:
    directory = root / "one"
    files = len(Manifest.read(directory).files)
    with call_scope(verifying := Impatient()):
        manifest = bundle.verify(directory, caller_check())
    with call_scope(opening := Impatient()):
        engine = Engine(directory, manifest, EngineConfig())
    with call_scope(warming := Impatient()):
        engine.warm_up()
    with call_scope(replaying := Impatient()):
        golden.replay(engine, directory / bundle.GOLDEN, both_float32=False)
    assert verifying.done >= 2 * files
    assert opening.done > 20  # three model parts, the pages of all columns of items, two indexes
    assert warming.done >= engine.compilations
    assert replaying.done >= len(golden.queries(directory / bundle.GOLDEN))
    steps = verifying.done + opening.done
    for step in (0, verifying.done - 1, steps - 20, steps - 1):
        with call_scope(Impatient(step)), pytest.raises(DeadlineExceededError):
            Engine.load(directory)


OpenLoader: TypeAlias = Callable[..., BundleLoader]


@pytest.fixture
def open_loader(root: Path) -> Iterator[OpenLoader]:
    engine = Engine.load(root / "one", warm=True)
    yield partial(BundleLoader, engine, root / "one", root, load_seconds=0.5)
    engine.close()


def test_a_load_has_a_limit_of_its_own(open_loader: OpenLoader, endless: str) -> None:
    loader = open_loader()
    with pytest.raises(DeadlineExceededError, match=r"the load took more than 0\.5 s"):
        asyncio.run(loader.load(endless))
    assert loader.last_failure is not None
    assert loader.last_failure.reason == "the load took more than 0.5 s"
    assert loader.loading is None


def test_a_load_stops_when_the_server_stops(open_loader: OpenLoader, endless: str) -> None:
    loader = open_loader(open_context=lambda _: Impatient())

    async def load_and_close() -> None:
        load = asyncio.create_task(loader.load(endless))
        while loader.loading is None:
            await asyncio.sleep(0)
        loader.close()
        await load

    with pytest.raises(StoppingError):
        asyncio.run(load_and_close())


def test_a_stopped_load_frees_its_models(open_loader: OpenLoader, root: Path) -> None:
    with call_scope(whole := Impatient()):
        Engine.load(root / "other", warm=True).close()
    # The load stops at its last golden query, after everything else is loaded.
    loader = open_loader(open_context=lambda _: Impatient(whole.done - 1))
    gc.collect()
    before = sum(isinstance(thing, Models) for thing in gc.get_objects())
    with pytest.raises(DeadlineExceededError):
        asyncio.run(loader.load("other"))
    assert loader.current.path == root / "one"
    assert sum(isinstance(thing, Models) for thing in gc.get_objects()) == before
