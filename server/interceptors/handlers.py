"""Wrap gRPC method handlers of all four kinds, so that each call runs in a context manager."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import grpc

# Creates the context manager of a call from gRPC's context. The method's errors are raised inside
# the context manager.
CallScope: TypeAlias = Callable[[Any], AbstractAsyncContextManager[None]]
# Called with a call's context before its first answer.
BeforeAnswer: TypeAlias = Callable[[Any], Awaitable[None]]

_CONTRACT = "shortlist.v1."


def in_contract(name: str) -> bool:
    """Return whether a service or a method is of `shortlist.v1`, and not of health or reflection.

    Args:
        name: The full name, such as "shortlist.v1.SearchService" or
            "/shortlist.v1.SearchService/Search".
    """
    return name.removeprefix("/").startswith(_CONTRACT)


def handler_factory(handler: Any) -> Any:
    """Return gRPC's function that creates handlers of the same kind as `handler`."""
    return {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]


async def _do_nothing(context: Any) -> None:
    """The default of `before_answer`."""


def wrap_handler(
    handler: Any,
    scope: CallScope,
    *,
    deserializer: Callable[[bytes], Any] | None = None,
    convert: Callable[[Any], Awaitable[Any]] | None = None,
    before_answer: BeforeAnswer = _do_nothing,
) -> Any:
    """Return a handler that runs every call inside a context manager.

    Args:
        handler: A handler of any kind. Its method must read a request stream by iteration.
        scope: Creates the context manager of each call.
        deserializer: Replaces the deserializer of the handler.
        convert: Converts a deserialized message to the method's request; runs inside `scope`. None
            passes the message unchanged.
        before_answer: Called before the answer, or before the first message of a streamed answer,
            but not before an error. Not called for methods that call `context.write` themselves.
    """

    async def converted(request: Any) -> Any:
        if convert is None:
            return request
        if handler.request_streaming:
            return _convert_each(request, convert)
        return await convert(request)

    # gRPC keeps the error of a call in a reference cycle, with the frames of these functions. The
    # frames must not keep the request, which can have megabytes.
    async def answer(request: Any, context: Any) -> Any:
        method = handler.stream_unary if handler.request_streaming else handler.unary_unary
        async with scope(context):
            conversion = converted(request)
            del request
            response = await method(await conversion, context)
            await before_answer(context)
            return response

    # This is a coroutine that writes, not an asynchronous generator. gRPC does not finish a
    # generator if the caller cancels during a write, so `scope` would stay open.
    async def write_answers(request: Any, context: Any) -> None:
        method = handler.stream_stream if handler.request_streaming else handler.unary_stream
        async with scope(context):
            conversion = converted(request)
            del request
            responses = method(await conversion, context)
            if inspect.isawaitable(responses):  # the method calls `context.write` itself
                await responses
                return
            answered = False
            async with aclosing(responses):
                async for response in responses:
                    if not answered:
                        await before_answer(context)
                        answered = True
                    await context.write(response)
            if not answered:
                await before_answer(context)

    return handler_factory(handler)(
        write_answers if handler.response_streaming else answer,
        request_deserializer=deserializer or handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


async def _convert_each(
    messages: AsyncIterator[Any], convert: Callable[[Any], Awaitable[Any]]
) -> AsyncIterator[Any]:
    async for message in messages:
        yield await convert(message)
