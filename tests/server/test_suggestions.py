"""SuggestionService over a real channel."""

import asyncio
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from bert.numerics import choose_numerics
from search import bundle
from search.engine import Engine
from search.request import SuggestRequest
from server.config import ServerConfig
from shortlist.client import Client, ShortlistError
from shortlist.v1.suggestion_service_pb2 import (
    SUGGESTION_KIND_BRAND,
    SUGGESTION_KIND_CATEGORY,
    SuggestResponse,
)
from tests import tiny
from tests.server.conftest import Running, run_server
from tests.timing import eventually


def test_suggest_answers_as_the_engine_does(client: Client, engine: Engine) -> None:
    response = client.suggest("c", page_size=20)
    expected = engine.suggest(SuggestRequest("c", page_size=20)).suggestions
    assert len(expected) > 5
    assert [(s.text, s.kind, s.category, s.brand, s.item_id) for s in response.suggestions] == [
        (s.text, s.kind, s.category, s.brand, s.item_id) for s in expected
    ]
    assert [[(span.start, span.end) for span in s.matched_spans] for s in response.suggestions] == [
        list(s.matched) for s in expected
    ]
    assert response.bundle_id == engine.bundle_id
    [stage] = response.stages
    assert (stage.name, stage.candidate_count) == ("suggest", len(expected))
    assert response.HasField("coverage")


def test_options_of_the_client_reach_the_engine(client: Client) -> None:
    def kinds(response: SuggestResponse) -> set[int]:
        return {suggestion.kind for suggestion in response.suggestions}

    assert len(client.suggest("c").suggestions) == 10  # the default
    assert len(client.suggest("c", page_size=2).suggestions) == 2
    wanted = (SUGGESTION_KIND_BRAND, SUGGESTION_KIND_CATEGORY)
    assert kinds(client.suggest("c", kinds=wanted)) <= set(wanted)
    assert kinds(client.suggest("v", kinds=wanted)) == {SUGGESTION_KIND_BRAND}
    assert client.suggest("chrager", language="en").corrected_prefix == "charger"


def test_a_size_above_its_limit_is_coerced(client: Client) -> None:
    most = client.suggest("c", page_size=50).suggestions
    assert client.suggest("c", page_size=1_000).suggestions == most


@contextmanager
def busy(running: Running, threads: int) -> Iterator[None]:
    """Occupy all threads of the pool for model work, and with them all CPUs."""
    end, pool = threading.Event(), running.service.pool
    for _ in range(threads):
        asyncio.run_coroutine_threadsafe(pool.run(end.wait), running.loop)
    try:
        eventually(lambda: pool.running == threads)
        yield
    finally:
        end.set()


def test_suggestions_never_wait_for_model_work(config: ServerConfig) -> None:
    with (
        run_server(config) as running,
        Client(running.address) as client,
        busy(running, config.threads),
    ):
        with pytest.raises(ShortlistError) as late:
            client.search("usb", timeout_seconds=0.2)
        assert late.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert client.suggest("usb", timeout_seconds=10).suggestions


def test_a_bundle_without_suggestions_is_refused(
    tiny_bundle: Path, config: ServerConfig, tmp_path: Path
) -> None:
    old = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, old)
    shutil.rmtree(old / bundle.SUGGESTIONS)
    tiny.write_manifest(old, choose_numerics())
    with (
        run_server(replace(config, bundle=old)) as running,
        Client(running.address) as client,
    ):
        assert client.search("usb").results
        with pytest.raises(ShortlistError) as refused:
            client.suggest("usb")
        assert refused.value.code == grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.reason == "NOT_SUPPORTED"


def test_no_log_record_has_the_prefix(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.suggest("zyxwvu")
    records = [str(vars(record)) for record in caplog.records]
    assert any("SuggestionService/Suggest" in record for record in records)
    assert not any("zyxwvu" in record for record in records)
