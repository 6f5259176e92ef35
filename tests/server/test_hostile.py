"""The server answers every hostile call with a result or with one of our errors, and goes on.

The default is 1,000 calls. A release must survive 100,000 calls: `TEST_HOSTILE=100000`.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.harness.memory import resident_bytes
from server.auth.tokens import Role
from server.config import ServerConfig
from server.rpc.services import Port, contract_services
from shortlist.client import Client, Options, ShortlistError
from shortlist.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    curation_service_pb2,
    feedback_service_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)
from tests.server.attacks import SHOWN, TOKEN, Attack, attacks

REQUESTS = int(os.environ.get("TEST_HOSTILE", "1000"))
SECONDS = 30
FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
# Allowed growth of memory in bytes, because caches fill. With 100,000 requests, a leak of 1 KiB per
# request exceeds it.
MAX_GROWTH = 64 * 2**20

FILES = (
    search_service_pb2,
    suggestion_service_pb2,
    retrieval_service_pb2,
    rerank_service_pb2,
    catalog_service_pb2,
    curation_service_pb2,
    feedback_service_pb2,
    recommend_service_pb2,
    admin_service_pb2,
)
SERVED: list[ServiceDescriptor] = [
    service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
]
[ADMIN] = contract_services(Port.ADMIN)
METHODS: list[MethodDescriptor] = [method for service in SERVED for method in service.methods]


PATH_PARTS = (
    *(
        "",
        ".",
        "..",
        "~",
        "etc",
        "proc",
        "self",
        "root",
        "%2e%2e",
        "file:",
        "\x00",
        "\n",
        "x" * 300,
    ),
    *("empty", "damaged", "file", "pipe", "ring", "outside", "bundle", "manifest.json", "é"),
)
PATHS = st.lists(st.sampled_from(PATH_PARTS), max_size=12).map("/".join)
FILES_GRANTED = 256  # soft limit of open files; the server may raise the limit
EVERY_TENTH = max(100, REQUESTS // 10)


@dataclass(frozen=True)
class Victim:
    """The process of a server that accepts writes, its public address and its admin address."""

    process: subprocess.Popen[str]
    address: str
    admin: str
    bundle: Path


def test_every_service_is_attacked() -> None:
    assert {service.full_name for service in SERVED} == set(contract_services(*Port))


@pytest.fixture(scope="module")
def victim(config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    command = [sys.executable, "-m", "server", "--bundle", str(config.bundle), "--port", "0"]
    command += ["--compilation-cache", str(config.compilation_cache)]
    command += ["--state", str(tmp_path_factory.mktemp("hostile"))]
    root = nothing_to_load(tmp_path_factory.mktemp("root"), config.bundle)
    command += ["--admin-port", "0", "--bundle-root", str(root)]
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens.write_text("".join(f"{role}: {digest}\n" for role in Role))
    tokens.chmod(0o600)
    command += ["--tokens", str(tokens)]
    log = tmp_path_factory.mktemp("log") / "stderr"
    limited = ["sh", "-c", f'ulimit -Sn {FILES_GRANTED}; exec "$0" "$@"', *command]
    with log.open("w") as err:
        process = subprocess.Popen(limited, stdout=subprocess.PIPE, stderr=err, text=True)
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            port = re.search(r"service=AdminService .*port=(\d+)", log.read_text())
            assert found, log.read_text()
            assert port, log.read_text()
            yield Victim(process, found[1], f"127.0.0.1:{port[1]}", config.bundle)
        finally:
            process.kill()
            process.communicate()
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


def nothing_to_load(root: Path, bundle: Path) -> Path:
    """Fill a bundle root with files, directories and links, none of which is a valid bundle."""
    (root / "empty").mkdir()
    (root / "damaged").mkdir()
    (root / "damaged" / "manifest.json").write_text('{"files": [' * 9_000)
    (root / "file").write_text("no directory")
    os.mkfifo(root / "pipe")
    (root / "ring").symlink_to(root / "ring")
    (root / "outside").symlink_to(bundle)
    return root


def outcome(channel: grpc.Channel, attack: Attack) -> grpc.StatusCode:
    """Make a call, and return its status code."""
    method, contents = attack.method, attack.contents
    path = f"/{method.containing_service.full_name}/{method.name}"
    one_way = {"request_serializer": bytes, "response_deserializer": bytes}
    beside = {"timeout": SECONDS, "metadata": attack.metadata}
    kinds = {
        (False, False): lambda: channel.unary_unary(path, **one_way)(contents[0], **beside),
        (False, True): lambda: list(channel.unary_stream(path, **one_way)(contents[0], **beside)),
        (True, False): lambda: channel.stream_unary(path, **one_way)(iter(contents), **beside),
        (True, True): lambda: list(
            channel.stream_stream(path, **one_way)(iter(contents), **beside)
        ),
    }
    try:
        kinds[method.client_streaming, method.server_streaming]()
    except grpc.RpcError as error:
        return error.code()  # type: ignore[attr-defined,no-any-return]  # it is a call, too
    return grpc.StatusCode.OK


def a_client(victim: Victim) -> Client:
    options = Options(token_in_clear=True)
    return Client(victim.address, token=TOKEN, options=options, timeout_seconds=SECONDS)


def test_no_request_is_a_fault_or_leaks(victim: Victim) -> None:
    seen: set[grpc.StatusCode] = set()
    sizes = []
    with (
        grpc.insecure_channel(victim.address) as public,
        grpc.insecure_channel(victim.admin) as admin,
    ):
        before = status(admin)

        @settings(
            max_examples=REQUESTS,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(attacks(METHODS, before.bundle_id))
        def ask(attack: Attack) -> None:
            channel = admin if attack.method.containing_service.full_name == ADMIN else public
            code = outcome(channel, attack)
            assert code not in FAULTS, attack.method.full_name
            seen.add(code)
            held = resident_bytes(victim.process.pid)
            assert held is not None
            sizes.append(held)

        ask()
        after = status(admin)
    assert len(sizes) >= REQUESTS
    assert victim.process.poll() is None
    assert grpc.StatusCode.INVALID_ARGUMENT in seen
    assert grpc.StatusCode.UNAUTHENTICATED in seen
    assert grpc.StatusCode.OK in seen
    early = max(sizes[: len(sizes) // 4])
    assert max(sizes) - early < MAX_GROWTH
    assert (after.bundle_id, after.bundle) == (before.bundle_id, before.bundle)
    with a_client(victim) as client:
        assert client.search("usb c charger").results


def status(admin: grpc.Channel) -> admin_service_pb2.GetStatusResponse:
    stub = admin_service_pb2_grpc.AdminServiceStub(admin)
    request = admin_service_pb2.GetStatusRequest()
    return stub.GetStatus(request, timeout=SECONDS, metadata=SHOWN)


def test_a_hostile_path_is_refused_by_name_and_the_bundle_serves_on(victim: Victim) -> None:
    refusals: set[str] = set()
    with grpc.insecure_channel(victim.admin) as channel:
        before = status(channel)

        @settings(max_examples=EVERY_TENTH, deadline=None, database=None, derandomize=True)
        @given(PATHS)
        @example(str(victim.bundle))
        @example("/proc/self/root" + str(victim.bundle))
        @example("damaged")
        def attack(path: str) -> None:
            error = refusal(channel, path)
            # BUNDLE_REFUSED: the bundle is invalid. Otherwise, the root has no such directory.
            if error.reason != "BUNDLE_REFUSED":
                assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
                assert [violation.field for violation in error.field_violations] == ["path"]
            refusals.add(error.reason)

        attack()
        after = status(channel)
    assert refusals == {"BUNDLE_REFUSED", "INVALID_FIELD"}
    assert (after.bundle_id, after.bundle) == (before.bundle_id, before.bundle)
    assert not after.HasField("previous")
    assert not after.HasField("loading")
    with a_client(victim) as client:
        assert client.search("usb c charger").bundle_id == before.bundle_id


@pytest.mark.parametrize("part", ["a/", "damaged/../"])
def test_to_look_for_a_path_longer_than_any_can_be_keeps_nobody_waiting(
    victim: Victim, part: str
) -> None:
    with grpc.insecure_channel(victim.admin) as channel:
        assert refusal(channel, part * (6 * 2**20 // len(part))).reason == "INVALID_FIELD"


def refusal(admin: grpc.Channel, path: str) -> ShortlistError:
    """Load a bundle from a path, and return the error."""
    stub = admin_service_pb2_grpc.AdminServiceStub(admin)
    request = admin_service_pb2.LoadBundleRequest(path=path)
    with pytest.raises(grpc.RpcError) as caught:
        stub.LoadBundle(request, timeout=SECONDS, metadata=SHOWN)
    return ShortlistError(caught.value)


def test_connections_that_say_nothing_keep_nobody_out(victim: Victim) -> None:
    host, _, port = victim.address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(2 * FILES_GRANTED):
            stack.enter_context(socket.create_connection((host, int(port)), SECONDS))
        with a_client(victim) as client:
            assert client.search("usb c charger").results


def test_a_message_over_the_limit_is_refused_and_the_next_one_answered(
    victim: Victim,
) -> None:
    method = next(m for m in METHODS if m.name == "Search")
    with grpc.insecure_channel(
        victim.address, options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        huge = search_service_pb2.SearchRequest(query="x" * (9 << 20)).SerializeToString()
        assert outcome(channel, Attack(method, (huge,))) == grpc.StatusCode.RESOURCE_EXHAUSTED
        good = search_service_pb2.SearchRequest(query="usb").SerializeToString()
        assert outcome(channel, Attack(method, (good,))) == grpc.StatusCode.OK
