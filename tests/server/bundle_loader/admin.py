"""A server whose bundles are swapped, and a client of its AdminService."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from search import bundle
from search.engine import Engine
from server.config import ServerConfig
from shortlist.client import Client, ShortlistError
from shortlist.v1 import admin_service_pb2, admin_service_pb2_grpc

Serving = Callable[..., AbstractContextManager[Any]]


class Admin:
    """A client of AdminService whose errors are ShortlistError."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = admin_service_pb2_grpc.AdminServiceStub(channel)

    def status(self) -> admin_service_pb2.GetStatusResponse:
        return self._call(self._stub.GetStatus, admin_service_pb2.GetStatusRequest())

    def load(self, path: str | Path) -> admin_service_pb2.LoadBundleResponse:
        request = admin_service_pb2.LoadBundleRequest(path=str(path))
        return self._call(self._stub.LoadBundle, request)

    def roll_back(self) -> admin_service_pb2.RollBackResponse:
        return self._call(self._stub.RollBack, admin_service_pb2.RollBackRequest())

    @staticmethod
    def _call(method: Callable[..., Any], request: object) -> Any:
        try:
            return method(request, timeout=120)
        except grpc.RpcError as error:
            raise ShortlistError(error) from None  # type: ignore[arg-type]  # it is a call, too


@dataclass(frozen=True)
class Swapping:
    """A server, with clients of its public services and of its AdminService."""

    server: Any
    client: Client
    admin: Admin

    @property
    def engine(self) -> Engine:
        engine: Engine = self.server.service.bundles.engine_handle.engine
        return engine


@contextmanager
def serve(
    config: ServerConfig, directory: Path, serving: Serving, **seams: Any
) -> Iterator[Swapping]:
    with (
        serving(replace(config, bundle=directory, admin_port=0), **seams) as server,
        Client(server.address, timeout_seconds=60) as client,
        grpc.insecure_channel(f"127.0.0.1:{server.service.admin_port}") as channel,
    ):
        yield Swapping(server, client, Admin(channel))


def copy(directory: Path, target: Path) -> None:
    shutil.copytree(directory, target, copy_function=os.link)


def refusal(call: Callable[[], object]) -> ShortlistError:
    with pytest.raises(ShortlistError) as caught:
        call()
    return caught.value


def reseal(directory: Path) -> None:
    """Make the manifest of a bundle fit its files, as if the bundle had been built with them."""
    bundle.Manifest.read(directory).with_files(bundle.list_files(directory)).write(directory)
