"""Ask a server for its health at fixed times, from a process of its own that `watching` starts.

The process gets the address of the server as its argument. It asks every 20 ms, prints "asking"
after the first answer, and prints the result when its standard input is closed. It does not wait
for an answer before it asks again. So a server that stands still for a second causes 50 slow
answers.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

EVERY_SECONDS = 0.02
_DEADLINE_SECONDS = 10.0


@dataclass
class Health:
    """The answers of the health service.

    Attributes:
        seconds: The time of each answer.
        codes: The number of failed questions, by status code.
    """

    seconds: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the times in milliseconds; NaN without answers."""
        ranked = sorted(self.seconds)
        return 1e3 * ranked[round(share * (len(ranked) - 1))] if ranked else float("nan")


@contextmanager
def watching(address: str) -> Iterator[Health]:
    """Ask while the block runs; the yielded object has the answers after the block."""
    command = [sys.executable, "-m", "bench.stress.health", address]
    health = Health()
    with subprocess.Popen(  # noqa: S603 - our program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield health
        output, _ = process.communicate()
    answers = json.loads(output)
    health.seconds, health.codes = answers["seconds"], Counter(answers["codes"])


async def ask(address: str) -> Health:
    """Ask until standard input is closed."""
    health = Health()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def ask_once() -> None:
            began = time.perf_counter()
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=_DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                health.codes[error.code().name] += 1
            health.seconds.append(time.perf_counter() - began)

        await ask_once()  # connects
        health = Health()
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        closed = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        questions: list[asyncio.Task[None]] = []
        while not closed.done():
            questions.append(asyncio.create_task(ask_once()))
            await asyncio.sleep(EVERY_SECONDS)
        await asyncio.gather(*questions)
    return health


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vars(asyncio.run(ask(sys.argv[1])))))
