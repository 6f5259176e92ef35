"""The translation of the asyncio client to the threaded client."""

import ast
import re
from pathlib import Path

import generate
import pytest
import sync_client

MODULES = ("__init__", "connection", "people")
TEXTS = "".join(text for text, _ in sync_client.TEXTS)


def translated(code: str) -> str:
    """Return the translation of code, without the header of generated modules."""
    return sync_client.sync_source(code).removeprefix(sync_client.HEADER)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("async def get(self) -> int: ...", "def get(self) -> int: ..."),
        ("return await self._call(x)", "return self._call(x)"),
        ("async for part in parts: ...", "for part in parts: ..."),
        ("async with AsyncClient(address) as client: ...", "with Client(address) as client: ..."),
        ("[part async for part in parts]", "[part for part in parts]"),
        ("method: Callable[..., Awaitable[Response]]", "method: Callable[..., Response]"),
        ("def f(writes: AsyncIterable[A]) -> AsyncIterator[B]: ...",
         "def f(writes: Iterable[A]) -> Iterator[B]: ..."),
        ("async def __aenter__(self): ...", "def __enter__(self): ..."),
        ("async def __aexit__(self): ...", "def __exit__(self): ..."),
        ("self._stream(method, aiter(writes))", "self._stream(method, iter(writes))"),
        ("grpc.aio.insecure_channel(address)", "grpc.insecure_channel(address)"),
        ("await self._channel.close(grace=None)", "self._channel.close()"),
        ("await read_token_async(token)", "read_token(token)"),
        ("await asyncio.sleep(pause)", "time.sleep(pause)"),
        ("import asyncio", "import time"),
        ("from shortlist.aio.people import AsyncPeopleCalls",
         "from shortlist.client.people import PeopleCalls"),
        ("from collections.abc import (\n    Awaitable,\n    Callable,\n)",
         "from collections.abc import (\n    Callable,\n)"),
        ("__all__ = [\"AsyncClient\"]", "__all__ = [\"Client\"]"),
        ("raise failure from error", "raise failure from error"),
    ],
)  # fmt: skip
def test_code_is_translated(code: str, expected: str) -> None:
    assert translated(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.Lock()",
        "grpc.aio",
        "anext(parts)",
        "AsyncGenerator[int]",
        "Awaitable[list[int]]",
        "def __aiter__(self): ...",
        "# awaits the answer",
    ],
)
def test_code_without_a_rule_is_refused(code: str) -> None:
    with pytest.raises(sync_client.UnknownAsyncCodeError, match=re.escape(code)):
        translated(code)


def test_every_text_must_occur_exactly_once() -> None:
    broken = TEXTS.replace("one event loop", "an event loop")
    with pytest.raises(sync_client.UnknownAsyncCodeError, match="one event loop"):
        sync_client.sync_source(broken, sync_client.TEXTS)
    with pytest.raises(sync_client.UnknownAsyncCodeError, match="The Python client for asyncio"):
        sync_client.sync_source(TEXTS + TEXTS, sync_client.TEXTS)


def test_all_modules_are_translated() -> None:
    for client in (generate.ASYNC_CLIENT, generate.SYNC_CLIENT):
        names = {path.stem for path in (generate.PROTOS / client).glob("*.py")}
        assert names == set(MODULES)


def read(client: Path, module: str) -> str:
    return (generate.PROTOS / client / f"{module}.py").read_text("utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_the_threaded_client_says_where_it_comes_from(module: str) -> None:
    assert read(generate.SYNC_CLIENT, module).startswith("# Generated from the asyncio client")


@pytest.mark.parametrize("module", MODULES)
def test_the_threaded_client_has_the_functions_of_the_asyncio_client_and_no_asyncio(
    module: str,
) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    sources = [read(client, module) for client in (generate.ASYNC_CLIENT, generate.SYNC_CLIENT)]
    of_async, of_sync = (
        [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
        for source in sources
    )
    renamed = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
    assert [renamed.get(name, name) for name in of_async] == of_sync
    asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert not [node for node in ast.walk(ast.parse(sources[1])) if isinstance(node, asynchronous)]
