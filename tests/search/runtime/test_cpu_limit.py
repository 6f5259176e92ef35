import threading

from search.runtime.cpu_limit import CpuLimit
from tests.timing import SOON, eventually


def test_the_last_thread_lets_waiting_threads_go_first() -> None:
    cpus, order = CpuLimit(1, patience_seconds=60.0), []

    def compute(name: str, *, last: bool) -> None:
        cpus.acquire(last=last)
        order.append(name)
        cpus.release()

    cpus.acquire()
    model = threading.Thread(daemon=True, target=compute, args=("model",), kwargs={"last": True})
    model.start()
    calls = [
        threading.Thread(daemon=True, target=compute, args=("call",), kwargs={"last": False})
        for _ in range(3)
    ]
    for call in calls:
        call.start()
    eventually(lambda: cpus.waiting == 3)
    cpus.release()
    for thread in (model, *calls):
        thread.join(SOON)
    assert order == ["call", "call", "call", "model"]


def test_the_last_thread_takes_its_turn_after_its_patience() -> None:
    cpus, taken = CpuLimit(1, patience_seconds=0.01), threading.Event()

    def compute() -> None:
        cpus.acquire(last=True)
        taken.set()
        cpus.release()

    cpus.acquire()
    model = threading.Thread(daemon=True, target=compute)
    model.start()
    eventually(lambda: cpus.waiting == 1)  # after its patience, it waits as others do
    cpus.release()
    assert taken.wait(SOON)
    model.join(SOON)
