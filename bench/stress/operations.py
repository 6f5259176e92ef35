"""Restart servers, swap bundles and overload a server, under an open-loop load.

    python -m bench.stress.operations restarts --bundle BUNDLE --data DIR
    python -m bench.stress.operations overload --bundle BUNDLE --data DIR
    python -m bench.stress.operations swaps --bundle BUNDLE --other OTHER --data DIR

Load and servers share the machine's cores. For `overload`, the server has the first half of the
cores and the load the other half, so that neither slows down the other.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import grpc
import numpy as np
import tyro
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.harness import inputs
from bench.harness.machine import machine
from bench.harness.output import say
from bench.service.process import Server, repeated, serving
from bench.stress import answers, openloop
from bench.stress.openloop import Call, Load
from catalog.dataset.reading import read_dataset
from shortlist.client import Client, Options, Retry, ShortlistError
from shortlist.v1 import admin_service_pb2, admin_service_pb2_grpc

_CALLERS = 16  # callers of the closed loop that measures the maximum rate
_RECORDED = 200  # number of queries of `swaps`; answers are recorded before the swaps
_HEALTH_SECONDS = 0.1  # seconds between two health checks
_MIX = {"Retrieve": 0.6, "GetItem": 0.35, "Search": 0.05}  # shares of calls
# The same mix without GetItem, whose calls never wait in the queue.
_MODEL_WORK = {"Retrieve": 0.92, "Search": 0.08}


@dataclass(frozen=True)
class OperationsConfig:
    """Options of `python -m bench.stress.operations`."""

    what: tyro.conf.Positional[Literal["restarts", "swaps", "overload"]]  # the experiment
    bundle: Path  # the bundle to serve
    data: Path  # dataset directory; the queries come from its judgments
    other: Path | None = None  # swaps: another bundle of the same items
    times: int = 0  # number of restarts or swaps; 0: 20 restarts, 200 swaps
    seconds: float = 20.0  # overload: duration of the load at each rate
    deadline_seconds: float = 2.0  # deadline of each call
    cache: Path = Path("out/bench/xla")  # directory of compiled programs


def saturation(load: Load, mix: Mapping[str, float]) -> float:
    """Return the calls per second that a closed loop of callers reaches with a mix of methods."""
    stop, counts = time.perf_counter() + 10, Counter[str]()

    def caller(number: int) -> None:
        chance = np.random.default_rng(number)
        names, shares = list(mix), list(mix.values())
        with Client(load.address, timeout_seconds=30) as client:
            while time.perf_counter() < stop:
                method = str(chance.choice(names, p=shares))
                query = load.queries[int(chance.integers(len(load.queries)))]
                if method == "GetItem":
                    client.get_item(load.item_ids[int(chance.integers(len(load.item_ids)))])
                elif method == "Retrieve":
                    client.retrieve(query)
                else:
                    client.search(query)
                counts[method] += 1

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(_CALLERS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts.values()) / (time.perf_counter() - start)


def restarts(config: OperationsConfig, load: Load) -> None:
    """Restart two servers in turn, while a load-balancing client calls both."""
    times = config.times or 20
    flags = ("--drain-seconds", "2")
    with ExitStack() as stack:
        servers = [Server(config.bundle, config.cache, *flags) for _ in range(2)]
        rate = saturation(replace(load, address=servers[0].address), _MIX)
        say(f"saturation of one server: {rate:.1f} calls/s of the mix; the load is half of that")
        both = "ipv4:" + ",".join(server.address for server in servers)
        load = replace(load, address=both, rates=rates(rate / 2, _MIX), seconds=3_600)
        stop, calls = stack.enter_context(openloop.running(load))
        start = time.perf_counter()
        time.sleep(3)
        for number in range(times):
            turn = number % 2
            port = servers[turn].port
            servers[turn].stop()
            servers[turn] = Server(config.bundle, config.cache, *flags, port=port)
            time.sleep(2)
        stop.set()
        seconds = time.perf_counter() - start
        report(f"{times} rolling restarts, {seconds:.0f} s", calls.result(), seconds)
        for server in servers:
            server.stop()


def swaps(config: OperationsConfig, load: Load) -> None:
    """Swap two bundles under load, and check that no answer mixes the two bundles."""
    if config.other is None:
        sys.exit("error: swaps need --other BUNDLE")
    times = config.times or 200
    paths = [config.other.resolve(), config.bundle.resolve()]
    load = replace(load, queries=load.queries[:_RECORDED])
    expected, different_share = answers.recorded(paths, config.cache, load.queries)
    say(f"without swaps, the bundles answer {different_share:.0%} of the requests differently")
    root = ["--bundle-root", os.path.commonpath(paths)]
    with serving(config.bundle, config.cache, "--admin-port", "0", *root) as server:
        admin = server.logged(r"service=AdminService .*port=(\d+)")
        load = replace(load, address=server.address, seconds=3_600)
        load = replace(load, rates=rates(saturation(load, _MIX) / 2, _MIX))
        with (
            grpc.insecure_channel(f"127.0.0.1:{admin}") as channel,
            openloop.running(load) as (stop, calls),
        ):
            stub = admin_service_pb2_grpc.AdminServiceStub(channel)
            start = time.perf_counter()
            memory = []
            for number in range(times):
                request = admin_service_pb2.LoadBundleRequest(path=str(paths[number % 2]))
                stub.LoadBundle(request, timeout=300)
                memory.append(server.memory_mib())
            stop.set()
            seconds = time.perf_counter() - start
            report(f"{times} swaps, {seconds:.0f} s", calls.result(), seconds)
        compared, differ = answers.compare(calls.result(), expected)
        say(f"  {compared}")
        time.sleep(3)
        tenth = max(1, times // 10)
        say(
            f"memory, MiB: {np.median(memory[tenth : 2 * tenth]):.0f} in the second tenth, "
            f"{np.median(memory[-tenth:]):.0f} in the last, {server.memory_mib():.0f} afterwards"
        )
    if differ:
        sys.exit(f"error: {differ} answers differ from the recorded answers of their bundle")


def overload(config: OperationsConfig, load: Load) -> None:
    """Send one, two, five and ten times the maximum rate that the server can answer."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    os.sched_setaffinity(0, cores[:half])  # the server inherits these cores
    with serving(config.bundle, config.cache) as server:
        os.sched_setaffinity(0, cores[half:] or cores)
        load = replace(load, address=server.address, retries=False, seconds=config.seconds)
        rate = saturation(load, _MODEL_WORK)
        say(f"saturation: {rate:.1f} calls/s; memory {server.memory_mib():.0f} MiB")
        best_goodput, sent_count = 0.0, 0
        for times in (1, 2, 5, 10):
            # Skip the queries that the previous rate sent: their results are cached.
            queries = [*load.queries[sent_count:], *load.queries[:sent_count]]
            sent = replace(load, queries=queries, rates=rates(times * rate, _MODEL_WORK))
            with watched(server) as health:
                calls = openloop.send(sent)
            sent_count = (sent_count + len(calls)) % len(queries)
            # Ignore the first fifth of the time, when the queue is still empty.
            steady, seconds = [c for c in calls if c.due > config.seconds / 5], config.seconds * 0.8
            report(f"{times} times saturation", steady, seconds)
            goodput = sum(call.code == "OK" for call in steady) / seconds
            best_goodput = max(best_goodput, goodput)
            say(
                f"  {len(steady) / seconds:.1f}/s sent, {goodput:.1f}/s answered in time, "
                f"{goodput / best_goodput:.0%} of the best so far"
            )
            refused = [call.took for call in steady if call.code == "RESOURCE_EXHAUSTED"]
            if refused:
                say(f"  99% of the refusals came within {np.quantile(refused, 0.99):.3f} s")
            searches = [call for call in steady if call.method == "Search" and call.code == "OK"]
            reranked = sum(call.answer.reranked for call in searches) / max(1, len(searches))
            say(f"  {reranked:.0f} reranked candidates per search")
            say(f"  health: {dict(health)}; memory {server.memory_mib():.0f} MiB")
        begun = time.perf_counter()
        with Client(server.address, options=Options(retry=Retry(attempts=1))) as client:
            while True:
                start = time.perf_counter()
                with suppress(ShortlistError):
                    client.search(load.queries[0], timeout_seconds=1)
                    if time.perf_counter() - start < 0.5:
                        break
        say(f"a search takes less than 0.5 s again {time.perf_counter() - begun:.1f} s afterwards")


@contextmanager
def watched(server: Server) -> Iterator[Counter[str]]:
    """Check a server's health repeatedly while the block runs; yield counts by status."""
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def ask(_: int, counts: Counter[str]) -> None:
            try:
                status = stub.Check(health_pb2.HealthCheckRequest(), timeout=1).status
                counts[health_pb2.HealthCheckResponse.ServingStatus.Name(status)] += 1
            except grpc.RpcError as error:
                counts[error.code().name] += 1

        with repeated(_HEALTH_SECONDS, ask) as counts:
            yield counts


def rates(total: float, mix: Mapping[str, float]) -> dict[str, float]:
    """Split a total rate by the shares of a mix."""
    return {method: share * total for method, share in mix.items()}


def report(what: str, calls: Sequence[Call], seconds: float) -> None:
    """Print the outcomes of calls, in total and by method."""
    say(f"{what}: {openloop.summary(calls, seconds)}")
    for method in sorted({call.method for call in calls}):
        method_calls = [call for call in calls if call.method == method]
        say(f"  {method}: {openloop.summary(method_calls, seconds)}")
    bundles = Counter(call.answer.bundle for call in calls if call.answer.bundle)
    say(f"  answered by: {dict(bundles)}")


def main(config: OperationsConfig) -> None:
    """Run the chosen experiment and print the results."""
    queries = inputs.queries_of(config.data)
    item_ids = read_dataset(config.data).items["item_id"].to_pylist()[:1_000]
    load = Load("", {}, queries, item_ids, config.deadline_seconds, seconds=0)
    say(str(machine()))
    {"restarts": restarts, "swaps": swaps, "overload": overload}[config.what](config, load)


if __name__ == "__main__":
    main(tyro.cli(OperationsConfig, prog="python -m bench.stress.operations"))
