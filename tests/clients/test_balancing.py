"""Several servers behind one client: calls go to the servers whose health is SERVING."""

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

# Without retries, a call that goes to a stopped server fails the test.
ONCE = Options(retry=Retry(attempts=1))
SECONDS = 30.0
DRAIN_SECONDS = 2.0


@pytest.fixture
def pair(config: ServerConfig, recall_bundle: Path) -> Iterator[tuple[Running, Running]]:
    """Two servers with different bundles. The first server drains before it stops."""
    drains = replace(config, drain_seconds=DRAIN_SECONDS)
    other = replace(config, bundle=recall_bundle)
    with run_server(drains) as first, run_server(other) as second:
        yield first, second


def target(*servers: Running) -> str:
    return "ipv4:" + ",".join(server.address for server in servers)


def bundle_of(server: Running) -> str:
    with Client(server.address, timeout_seconds=SECONDS) as client:
        return client.batch_get_items(["x"]).bundle_id


def wait_for_both(client: Client) -> None:
    while len({client.batch_get_items(["x"]).bundle_id for _ in range(4)}) < 2:
        pass


class Callers:
    """Threads that search without a pause."""

    def __init__(self, client: Client) -> None:
        self.answered: list[str] = []
        self.failed: list[Exception] = []
        self._client = client
        self._ended = threading.Event()
        self._progress = threading.Condition()
        self._threads = [threading.Thread(daemon=True, target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                bundle_id = self._client.search("usb", page_size=1).bundle_id
            except Exception as error:
                with self._progress:
                    self.failed.append(error)
                    self._progress.notify()
            else:
                with self._progress:
                    self.answered.append(bundle_id)
                    self._progress.notify()

    def wait_for(self, names: set[str]) -> None:
        """Wait until 20 consecutive answers come from all of these bundles and from no other."""
        answered: list[str] = []
        while set(answered) != names and not self.failed:
            with self._progress:
                end = len(self.answered) + 20
                self._progress.wait_for(lambda end=end: len(self.answered) >= end or self.failed)
                answered = self.answered[end - 20 :]

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
        stopping = threading.Thread(daemon=True, target=first.stop)
        stopping.start()
        callers.wait_for({names[1]})
        # No call goes to the first server, although it still answers while it drains.
        draining = stopping.is_alive()
        stopping.join()
        took = time.monotonic() - begun
        after = len(callers.answered)
        callers.wait_for({names[1]})
        callers.end()
    assert callers.failed == []
    assert draining
    assert set(callers.answered[after:]) == {names[1]}
    assert took < DRAIN_SECONDS + 6  # health watches do not delay the stop


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
