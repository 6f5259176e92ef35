"""Whatever is sent, the server answers with an error of ours or with a result, and goes on.

400 requests by default; `TEST_HOSTILE=100000` sends what a release has to survive.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import ServerConfig
from server.service import SERVICES
from shortlist.client import Client
from shortlist.v1 import (
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)
from tests.server.messages import damaged, messages

REQUESTS = int(os.environ.get("TEST_HOSTILE", "400"))
SECONDS = 30
FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
MAX_GROWTH_KIB = (
    64 * 1024
)  # caches fill; a leak of 1 KiB a request would be as much in the long run

FILES = (search_service_pb2, retrieval_service_pb2, rerank_service_pb2, catalog_service_pb2)
SERVED: list[ServiceDescriptor] = [
    service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
]
METHODS: list[MethodDescriptor] = [method for service in SERVED for method in service.methods]


def test_every_service_is_attacked() -> None:
    assert {service.full_name for service in SERVED} == set(SERVICES)


@pytest.fixture(scope="module")
def victim(
    config: ServerConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process that takes writes, and its address."""
    command = [sys.executable, "-m", "server", "--bundle", str(config.bundle), "--port", "0"]
    command += ["--compilation-cache", str(config.compilation_cache)]
    command += ["--state", str(tmp_path_factory.mktemp("hostile"))]
    log = tmp_path_factory.mktemp("log") / "stderr"
    with log.open("w") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            assert found, log.read_text()
            yield process, found[1]
        finally:
            process.kill()
            process.communicate()
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


def memory_kib(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1])


def outcome(channel: grpc.Channel, method: MethodDescriptor, content: bytes) -> grpc.StatusCode:
    """How a call with these bytes ends."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    one_way = {"request_serializer": bytes, "response_deserializer": bytes}
    kinds = {
        (False, False): lambda: channel.unary_unary(path, **one_way)(content, timeout=SECONDS),
        (False, True): lambda: list(
            channel.unary_stream(path, **one_way)(content, timeout=SECONDS)
        ),
        (True, True): lambda: list(
            channel.stream_stream(path, **one_way)(iter([content]), timeout=SECONDS)
        ),
    }
    try:
        kinds[method.client_streaming, method.server_streaming]()
    except grpc.RpcError as error:
        return error.code()  # type: ignore[attr-defined,no-any-return]
    return grpc.StatusCode.OK


def test_no_request_is_a_fault_or_leaks(victim: tuple[subprocess.Popen[str], str]) -> None:
    process, address = victim
    seen: set[grpc.StatusCode] = set()
    sizes = []
    with grpc.insecure_channel(address) as channel:

        @settings(
            max_examples=REQUESTS,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            method = data.draw(st.sampled_from(METHODS))
            whole = messages(method.input_type).map(lambda message: message.SerializeToString())
            content = data.draw(st.one_of(whole, damaged(method.input_type)))
            code = outcome(channel, method, content)
            assert code not in FAULTS, method.full_name
            seen.add(code)
            sizes.append(memory_kib(process))

        attack()
    assert process.poll() is None
    assert grpc.StatusCode.INVALID_ARGUMENT in seen
    assert grpc.StatusCode.OK in seen
    early = max(sizes[: len(sizes) // 4])
    assert max(sizes) - early < MAX_GROWTH_KIB
    with Client(address, timeout_seconds=SECONDS) as client:
        assert client.search("usb c charger").results


def test_a_message_over_the_limit_is_refused_and_the_next_one_answered(
    victim: tuple[subprocess.Popen[str], str],
) -> None:
    _, address = victim
    method = next(m for m in METHODS if m.name == "Search")
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        huge = search_service_pb2.SearchRequest(query="x" * (9 << 20)).SerializeToString()
        assert outcome(channel, method, huge) == grpc.StatusCode.RESOURCE_EXHAUSTED
        good = search_service_pb2.SearchRequest(query="usb").SerializeToString()
        assert outcome(channel, method, good) == grpc.StatusCode.OK
