"""Panics of native libraries: callers get an error, threads survive, and the metrics say so."""

import random
import shutil
import urllib.request
from pathlib import Path

import pytest

from search.config import EngineConfig
from server.config import ServerConfig
from shortlist.client import Client
from shortlist.errors import ShortlistError
from tests.server.conftest import run_server

QUERIES = ("usb c charger", "cable", "voltix", "65 watt", "hdmi cable 2 m", "charger for laptop")


def damage_index(bundle: Path) -> None:
    """Overwrite parts of the postings of a bundle's lexical index, as a failing disk might."""
    chance = random.Random(5)
    for path in (bundle / "lexical").glob("*.idx"):
        content = bytearray(path.read_bytes())
        for _ in range(len(content) // 2):
            content[chance.randrange(len(content))] = 0xFF
        with path.open("r+b") as file:  # in place: the server has the file mapped
            file.write(content)


def test_calls_on_an_index_that_went_bad_get_an_internal_error(tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    config = ServerConfig(
        bundle, port=0, metrics_port=0, engine=EngineConfig(cache_megabytes=0), threads=2
    )
    with run_server(config) as running, Client(running.address, timeout_seconds=20) as client:
        damage_index(bundle)
        reasons = []
        for query in QUERIES:
            with pytest.raises(ShortlistError) as refused:
                client.search(query)
            reasons.append(refused.value.reason)
        assert set(reasons) == {"INTERNAL_FAULT"}
        assert len(client.embed(["cable"]).embeddings) == 1  # the threads still answer
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{running.service.metrics_port}/metrics")
        counted = metrics.read().decode()
    calls = 'shortlist_calls_total{code="%s",method="shortlist.v1.SearchService/Search"}'
    assert f"{calls % 'INTERNAL'} {len(QUERIES)}.0" in counted
    assert calls % "OK" not in counted
