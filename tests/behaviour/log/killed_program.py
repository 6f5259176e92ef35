"""A program that records events until it is killed. It prints each id once the log has the event.

With the argument `erase`, the program also erases users, and prints their ids once they are gone.
"""

import random
import sys
from pathlib import Path

from behaviour.log.event_log import EventLog
from tests.behaviour.examples import event

USERS = 5


def main(directory: Path, seed: int, erase: bool) -> None:
    """Append batches of events; repeat some events of earlier batches."""
    chance = random.Random(seed)
    sent: list[str] = []
    with EventLog.open(directory) as log:
        print("open", flush=True)  # noqa: T201
        for number in range(1_000_000):
            ids = [f"{seed}-{number}-{n}" for n in range(chance.randint(1, 5))]
            again = chance.sample(sent, min(len(sent), chance.randint(0, 2)))
            events = [event(i, user_id=user_of(i)) for i in ids + again]
            log.append([events[:1], events[1:]])
            sent = (sent + ids)[-50:]
            print("recorded", *ids, flush=True)  # noqa: T201
            if erase and number % 3 == 2:
                user = f"user-{chance.randrange(USERS)}."
                print("erasing", user, flush=True)  # noqa: T201
                log.remove_user(user)
                log.rewrite()
                sent = [i for i in sent if user_of(i) != user]
                print("erased", user, flush=True)  # noqa: T201


def user_of(event_id: str) -> str:
    """Return the user of an event of the program."""
    return f"user-{sum(map(ord, event_id)) % USERS}."


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["erase"])
