"""gRPC methods of all four kinds, with something done around each call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import grpc

# Given a call's context, what surrounds the call; it sees what the method raises.
Around: TypeAlias = Callable[[Any], AbstractAsyncContextManager[None]]
Begin: TypeAlias = Callable[[Any], Awaitable[None]]

_OURS = "/shortlist."


def is_ours(method: str) -> bool:
    """Whether a method is of `shortlist.v1`, and not of health, reflection or another package."""
    return method.startswith(_OURS)


def made_for(handler: Any) -> Any:
    """Returns gRPC's maker of handlers of the same of the four kinds as a handler."""
    return {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]


async def _nothing(context: Any) -> None:
    """Begins an answer with nothing."""


def surrounded(
    handler: Any,
    around: Around,
    *,
    deserializer: Callable[[bytes], Any] | None = None,
    received: Callable[[Any], Any] = lambda message: message,
    begin: Begin = _nothing,
) -> Any:
    """Returns a method's handler with something around every call.

    Args:
        handler: Of any of the four kinds. Methods that are sent a stream read it by iteration.
        around: What surrounds each call.
        deserializer: Reads requests instead of the handler's own.
        received: What the method is given for a request so read; it runs inside `around`.
        begin: Given a call's context, what comes before its answer, or the first message of one,
            and not before an error. Of no effect on a method that writes by itself.
    """

    async def each(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            yield received(message)

    def given(request: Any) -> Any:
        return each(request) if handler.request_streaming else received(request)

    async def answer(request: Any, context: Any) -> Any:
        method = handler.stream_unary if handler.request_streaming else handler.unary_unary
        async with around(context):
            response = await method(given(request), context)
            await begin(context)
            return response

    # A coroutine that writes: gRPC would leave an asynchronous generator unfinished when the caller
    # goes while it writes, and what is around the call would not end with it.
    async def answers(request: Any, context: Any) -> None:
        method = handler.stream_stream if handler.request_streaming else handler.unary_stream
        async with around(context):
            responses = method(given(request), context)
            if inspect.isawaitable(responses):  # writes by itself
                await responses
                return
            begun = False
            async with aclosing(responses):
                async for response in responses:
                    if not begun:
                        await begin(context)
                        begun = True
                    await context.write(response)
            if not begun:
                await begin(context)

    return made_for(handler)(
        answers if handler.response_streaming else answer,
        request_deserializer=deserializer or handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
