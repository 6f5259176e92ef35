"""Start, health, overload, TLS and stop of a real server."""

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from base.errors import InputError
from server.__main__ import main
from server.cli.health import HealthConfig, ask_health, is_serving
from server.config import ServerConfig
from server.rpc.services import Port, contract_services
from shortlist.client import Client, Options, Retry, ShortlistError, Tls
from tests.timing import eventually

Serving = Callable[[ServerConfig], AbstractContextManager[Any]]
Status = health_pb2.HealthCheckResponse.ServingStatus

Code = grpc.StatusCode
SERVICES = contract_services(Port.PUBLIC)
[ADMIN_SERVICE] = contract_services(Port.ADMIN)

QUERY = "usb c charger"


def error_of(call: Callable[[], object]) -> ShortlistError | None:
    try:
        call()
    except ShortlistError as error:
        return error
    return None


def health(channel: grpc.Channel, service: str = "") -> "Status.ValueType":
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_health_is_serving_overall_and_per_service(address: str, service: str) -> None:
    with grpc.insecure_channel(address) as channel:
        assert health(channel, service) == health_pb2.HealthCheckResponse.SERVING


def test_watching_health_tells_of_the_stop_and_does_not_hold_it_up(
    config: ServerConfig, serving: Serving
) -> None:
    with (
        serving(replace(config, grace_seconds=60.0)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        requests = [health_pb2.HealthCheckRequest(service=name) for name in ("", *SERVICES)]
        watches = [iter(stub.Watch(request, timeout=60)) for request in requests]
        for watched in watches:
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 30
        for watched in watches:
            assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert list(watched) == []


def test_the_admin_port_tells_health_as_the_public_one_does(
    config: ServerConfig, serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(replace(config, admin_port=0, drain_seconds=0.3)) as server:
        address = f"127.0.0.1:{server.service.admin_port}"
        for service in ("", ADMIN_SERVICE):
            assert main(["health", "--address", address, "--service", service]) == 0
        assert capsys.readouterr().out == "SERVING\nSERVING\n"
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service=ADMIN_SERVICE)
            watched = iter(stub.Watch(request, timeout=60))
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
            server.stop()
            assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_health_has_no_admin_service_where_none_is_served(address: str) -> None:
    assert ask_health(HealthConfig(address=address, service=ADMIN_SERVICE)).startswith("NOT_FOUND")


def test_a_call_that_never_ends_does_not_keep_an_old_connection(
    config: ServerConfig, serving: Serving
) -> None:
    aging = replace(config, connection_age_seconds=0.2, connection_grace_seconds=0.2)
    with serving(aging) as running, grpc.insecure_channel(running.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=30
        )
        with pytest.raises(grpc.RpcError) as ended:
            list(watch)
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


def test_watching_a_service_that_is_not_there_says_so(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service="no.such.Service")
        watched = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=10)
        assert next(iter(watched)).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watched.cancel()
        with pytest.raises(grpc.RpcError) as failed:
            health(channel, "no.such.Service")
        assert isinstance(failed.value, grpc.Call)
        assert failed.value.code() == Code.NOT_FOUND


def test_reflection_lists_the_services(address: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [answer] = stub.ServerReflectionInfo(iter([request]), timeout=10)
    assert {service.name for service in answer.list_services_response.service} == {
        *SERVICES,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_a_full_queue_refuses_and_health_and_items_still_answer(
    config: ServerConfig, serving: Serving
) -> None:
    options = Options(retry=Retry(overloaded=False))
    with (
        serving(replace(config, threads=1, queue_size=1)) as server,
        Client(server.address, timeout_seconds=60, options=options) as client,
    ):
        item_id = client.search(QUERY).results[0].item_id
        inputs = ["a charger for my laptop " * 20] * 128

        with ThreadPoolExecutor(8) as callers, grpc.insecure_channel(server.address) as channel:
            calls = callers.map(lambda _: error_of(lambda: client.embed(inputs)), range(8))
            assert health(channel) == health_pb2.HealthCheckResponse.SERVING
            assert client.get_item(item_id).item_id == item_id
            outcomes = list(calls)
        refused = [error for error in outcomes if error]
        assert 0 < len(refused) < len(outcomes)
        for error in refused:
            assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert error.retry_seconds is not None
            assert 0.1 <= error.retry_seconds <= 10
        assert client.search(QUERY).results  # the server accepts calls again


def test_a_graceful_stop_warns_first_and_loses_no_call(
    config: ServerConfig, serving: Serving
) -> None:
    with (
        serving(replace(config, drain_seconds=3.0)) as server,
        Client(server.address, timeout_seconds=60) as client,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(8) as callers,
    ):
        health(channel)
        stopping = threading.Thread(daemon=True, target=server.stop)
        stopping.start()
        # The server is draining now: its health has changed, but it still answers calls.
        eventually(lambda: health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING)
        assert health(channel, SERVICES[0]) == health_pb2.HealthCheckResponse.NOT_SERVING
        under_way = [callers.submit(client.search, QUERY) for _ in range(8)]
        stopping.join()
        assert all(call.result().results for call in under_way)
        with pytest.raises(ShortlistError) as gone:
            client.search(QUERY, timeout_seconds=5)
        assert gone.value.code == Code.UNAVAILABLE


def test_a_bundle_without_a_reranker_searches_and_says_that_it_cannot_rerank(
    config: ServerConfig, recall_bundle: Path, serving: Serving
) -> None:
    with (
        serving(replace(config, bundle=recall_bundle)) as server,
        Client(server.address, timeout_seconds=60) as client,
    ):
        response = client.search(QUERY, rerank_depth=20)
        assert len(response.results) == 10
        assert response.reranked_count == 0
        error = error_of(lambda: client.rerank(QUERY, [response.results[0].item_id]))
        assert error is not None
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "NOT_SUPPORTED")


# ---- TLS


def tls_config(config: ServerConfig, certificates: Path, *, mutual: bool) -> ServerConfig:
    return replace(
        config,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server.key",
        client_ca=certificates / "ca.pem" if mutual else None,
    )


def answers(address: str, tls: Tls | None) -> bool:
    """Return whether a client gets an answer. A refusal must be UNAVAILABLE."""
    with Client(address, tls=tls, timeout_seconds=20) as client:
        error = error_of(lambda: client.batch_get_items(["x"]))
    assert error is None or error.code == Code.UNAVAILABLE
    return error is None


def test_tls_serves_those_who_trust_the_authority(
    config: ServerConfig, certificates: Path, serving: Serving
) -> None:
    with serving(tls_config(config, certificates, mutual=False)) as server:
        assert answers(server.address, Tls(ca=certificates / "ca.pem"))
        assert not answers(server.address, Tls(ca=certificates / "stranger.pem"))
        assert not answers(server.address, None)


def test_mutual_tls_serves_only_those_with_a_certificate_of_the_authority(
    config: ServerConfig, certificates: Path, serving: Serving
) -> None:
    def shown(name: str) -> Tls:
        return Tls(
            certificates / "ca.pem", certificates / f"{name}.pem", certificates / f"{name}.key"
        )

    with serving(tls_config(config, certificates, mutual=True)) as server:
        assert answers(server.address, shown("client"))
        assert not answers(server.address, shown("stranger"))
        assert not answers(server.address, Tls(ca=certificates / "ca.pem"))


def test_the_probe_speaks_tls(config: ServerConfig, certificates: Path, serving: Serving) -> None:
    with serving(tls_config(config, certificates, mutual=True)) as server:
        shown = HealthConfig(
            address=server.address,
            tls_ca=certificates / "ca.pem",
            tls_cert=certificates / "client.pem",
            tls_key=certificates / "client.key",
            tls_name="localhost",
        )
        assert ask_health(shown) == "SERVING"
        assert is_serving("SERVING")
        for unfit in (replace(shown, tls_name="other"), HealthConfig(address=server.address)):
            answer = ask_health(unfit)
            assert answer.startswith("UNAVAILABLE")
            assert not is_serving(answer)


def test_tls_files_that_do_not_belong_together_are_named(
    config: ServerConfig, certificates: Path
) -> None:
    key_of_another = replace(
        tls_config(config, certificates, mutual=False), tls_key=certificates / "client.key"
    )
    with pytest.raises(InputError, match=r"client\.key"):
        key_of_another.certificates()
    no_authority = replace(
        tls_config(config, certificates, mutual=True), client_ca=certificates / "server.key"
    )
    with pytest.raises(InputError, match=r"--client-ca .*server\.key"):
        no_authority.certificates()


def test_an_encrypted_key_is_refused_without_asking(
    config: ServerConfig, certificates: Path
) -> None:
    encrypt = ("openssl", "ec", "-in", "server.key", "-aes256", "-passout", "pass:x")
    subprocess.run(
        [*encrypt, "-out", "locked.key"], cwd=certificates, check=True, stderr=subprocess.DEVNULL
    )
    locked = replace(
        tls_config(config, certificates, mutual=False), tls_key=certificates / "locked.key"
    )
    with pytest.raises(InputError, match="encrypted"):
        locked.certificates()


def test_a_server_that_cannot_keep_compiled_programs_serves_all_the_same(
    config: ServerConfig, serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    with serving(replace(config, compilation_cache=file / "below")) as server:
        assert answers(server.address, None)
    [record] = [r for r in caplog.records if "no compilation cache" in r.getMessage()]
    assert str(file) in vars(record)["fields"]["directory"]
