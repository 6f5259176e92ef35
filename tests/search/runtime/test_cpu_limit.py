import threading
import time
from collections.abc import Callable

from search.runtime.cpu_limit import _Cores

SOON = 10.0  # seconds that nothing here takes unless it hangs


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_computes_for_many_lets_those_who_wait_go_first() -> None:
    cores, order = _Cores(1, patience_seconds=60.0), []

    def compute(name: str, *, last: bool) -> None:
        cores.take(last=last)
        order.append(name)
        cores.give()

    cores.take()
    model = threading.Thread(target=compute, args=("model",), kwargs={"last": True})
    model.start()
    calls = [
        threading.Thread(target=compute, args=("call",), kwargs={"last": False}) for _ in range(3)
    ]
    for call in calls:
        call.start()
    until(lambda: cores.waiting == 3)
    cores.give()
    for thread in (model, *calls):
        thread.join(SOON)
    assert order == ["call", "call", "call", "model"]


def test_but_not_for_ever() -> None:
    cores, taken = _Cores(1, patience_seconds=0.01), threading.Event()

    def compute() -> None:
        cores.take(last=True)
        taken.set()
        cores.give()

    cores.take()
    model = threading.Thread(target=compute)
    model.start()
    until(lambda: cores.waiting == 1)  # in line with the others by now
    cores.give()
    assert taken.wait(SOON)
    model.join(SOON)
