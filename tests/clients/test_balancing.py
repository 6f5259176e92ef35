"""Several servers behind one client: calls are shared by those whose health is SERVING."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.config import ServerConfig
from shortlist.aio import AsyncClient
from shortlist.client import Client, Options, Retry, Tls
from tests.server.conftest import Running, run_server

# What balancing does must not be the merit of trying again.
ONCE = Options(retry=Retry(attempts=1))
SECONDS = 30.0
DRAIN_SECONDS = 2.0


@pytest.fixture
def pair(config: ServerConfig, recall_bundle: Path) -> Iterator[tuple[Running, Running]]:
    """Two servers, told apart by their bundles, of which the first warns before it stops."""
    drains = replace(config, drain_seconds=DRAIN_SECONDS)
    other = replace(config, bundle=recall_bundle)
    with run_server(drains) as first, run_server(other) as second:
        yield first, second


def target(*servers: Running) -> str:
    return "ipv4:" + ",".join(server.address for server in servers)


def bundle_of(server: Running) -> str:
    with Client(server.address, timeout_seconds=SECONDS) as client:
        return client.batch_get_items(["x"]).bundle_id


def wait_for_both(ask: Client) -> None:
    while len({ask.batch_get_items(["x"]).bundle_id for _ in range(4)}) < 2:
        time.sleep(0.01)


class Callers:
    """Threads that call without a pause."""

    def __init__(self, client: Client) -> None:
        self.answered: list[str] = []
        self.failed: list[Exception] = []
        self._client = client
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                self.answered.append(self._client.search("usb", page_size=1).bundle_id)
            except Exception as error:
                self.failed.append(error)

    def wait_for(self, names: set[str]) -> None:
        """Returns when the next 20 calls are answered by all of these and no others."""
        answered: list[str] = []
        while set(answered) != names and not self.failed:
            begin = len(self.answered)
            while len(self.answered) < begin + 20 and not self.failed:
                time.sleep(0.01)
            answered = self.answered[begin:]

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_no_call_fails_while_a_server_drains_and_stops(pair: tuple[Running, Running]) -> None:
    first, _ = pair
    names = [bundle_of(server) for server in pair]
    with Client(target(*pair), options=ONCE, timeout_seconds=SECONDS) as client:
        callers = Callers(client)
        callers.wait_for(set(names))
        begun = time.monotonic()
        stopping = threading.Thread(target=first.stop)
        stopping.start()
        callers.wait_for({names[1]})
        warned = stopping.is_alive()  # it would still answer, and nobody asks
        stopping.join()
        took = time.monotonic() - begun
        after = len(callers.answered)
        callers.wait_for({names[1]})
        callers.end()
    assert callers.failed == []
    assert warned
    assert set(callers.answered[after:]) == {names[1]}
    assert took < DRAIN_SECONDS + 6  # clients that watch the health do not hold up a stop


def test_a_server_that_comes_back_is_called_again(
    pair: tuple[Running, Running], config: ServerConfig
) -> None:
    first, second = pair
    port = int(first.address.rpartition(":")[2])
    with Client(target(*pair), options=ONCE, timeout_seconds=SECONDS) as client:
        wait_for_both(client)
        first.stop()
        assert client.search("usb").bundle_id == bundle_of(second)
        with run_server(replace(config, port=port)):
            wait_for_both(client)


def test_asyncio_shares_calls_and_loses_none(pair: tuple[Running, Running]) -> None:
    first, _ = pair

    async def ask() -> tuple[list[str], list[str]]:
        async with AsyncClient(target(*pair), options=ONCE, timeout_seconds=SECONDS) as client:

            async def name() -> str:
                return (await client.batch_get_items(["x"])).bundle_id

            before: list[str] = []
            while len(set(before)) < 2:
                before.append(await name())
            stopping = asyncio.create_task(asyncio.to_thread(first.stop))
            after = []
            while not stopping.done():
                after.append(await name())
            return before, [*after, await name()]

    before, after = asyncio.run(ask())
    assert len(set(before)) == 2
    assert after[-1] == bundle_of(pair[1])


def test_several_servers_speak_mutual_tls_under_one_name(
    mutual_config: ServerConfig, certificates: Path, recall_bundle: Path
) -> None:
    tls = Tls(
        certificates / "ca.pem",
        certificates / "client.pem",
        certificates / "client.key",
        server_name="localhost",
    )
    with (
        run_server(mutual_config) as first,
        run_server(replace(mutual_config, bundle=recall_bundle)) as second,
        Client(target(first, second), tls=tls, timeout_seconds=SECONDS) as client,
    ):
        wait_for_both(client)
