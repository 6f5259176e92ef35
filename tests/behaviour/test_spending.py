"""What promotions have spent, and their pace."""

import numpy as np
import pytest

from behaviour.events import DAY
from behaviour.log.format import StoredEvent
from behaviour.spending import Spending
from tests.behaviour.examples import event

TODAY = 20_000 * DAY


def stored(time: int, kind: str = "click", promotion: str | None = "ads", number: int = 1):
    return [StoredEvent(1, event("e", kind, time=time, promotion_id=promotion), None)] * number


def test_a_promotion_pays_for_the_events_of_the_day_that_name_it():
    spending = Spending()
    spending.add(stored(TODAY - 1))
    spending.add(stored(TODAY + 5, number=3))
    spending.add(stored(TODAY + 6, "impression"))
    spending.add(stored(TODAY + 7, promotion="other"))
    spending.add(stored(TODAY + 8, promotion=None))
    assert spending.count("ads", "click", TODAY + DAY - 1) == 3
    assert spending.count("ads", "click", TODAY - 1) == 1
    spending.remove(stored(TODAY + 5))
    assert spending.count("ads", "click", TODAY) == 2
    assert spending.count("ads", "click", TODAY + DAY) == 0


def test_without_earlier_days_the_pace_is_that_of_the_clock():
    spending = Spending()
    spending.add(stored(TODAY, "impression", number=50))  # traffic of today says nothing
    for share in (0.0, 0.25, 0.6):
        assert spending.usual_share(TODAY + int(share * DAY)) == pytest.approx(share)


def test_the_pace_is_that_of_the_traffic_of_earlier_days():
    spending = Spending()
    for day in (1, 2):
        noon = TODAY - day * DAY + DAY // 2
        spending.add(stored(noon, "impression", promotion=None, number=500))
    # All traffic is between 12 and 13 o'clock, but for the even share of 5% beside it.
    assert spending.usual_share(TODAY + DAY // 2) == pytest.approx(0.05 / 1.05 / 2)
    half_past = TODAY + DAY // 2 + DAY // 48
    assert spending.usual_share(half_past) == pytest.approx((0.5 + 0.05 * 12.5 / 24) / 1.05)


def test_a_promotion_is_active_while_it_has_spent_less_than_planned():
    spending = Spending()

    def may_spend(now: int, cost: float = 1.0) -> bool:
        return spending.may_spend("ads", "click", budget=10.0, cost=cost, now=now)

    assert not may_spend(TODAY)
    assert may_spend(TODAY + 1)
    spending.add(stored(TODAY + 2, number=5))
    assert not may_spend(TODAY + DAY // 2)
    assert may_spend(TODAY + DAY // 2 + 1)
    assert not may_spend(TODAY + DAY - 1, cost=2.0)
    spending.add(stored(TODAY + 2, number=5))
    assert not may_spend(TODAY + DAY - 1)
    assert may_spend(TODAY + DAY + 1)


def test_many_invented_promotions_do_not_push_out_a_real_one():
    spending = Spending(most=10)
    spending.add(stored(TODAY, number=3))
    for number in range(100):
        spending.add(stored(TODAY, promotion=f"invented {number}"))
    assert spending.count("ads", "click", TODAY) == 3
    counted = sum(spending.count(f"invented {n}", "click", TODAY) for n in range(100))
    assert counted < 10


def test_days_before_the_last_week_are_forgotten():
    spending = Spending()
    for day in range(20):
        spending.add(stored(TODAY + day * DAY, "impression"))
    assert spending.count("ads", "impression", TODAY + 11 * DAY) == 0
    assert spending.count("ads", "impression", TODAY + 12 * DAY) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_budget_of_clicks_is_spent_in_a_day_of_uneven_traffic(seed):
    """Clicks are random, arrive a minute late, and traffic differs from that of the day before."""
    rng = np.random.default_rng(seed)
    shape = 1.2 + np.sin((np.arange(24) - 14) / 24 * 2 * np.pi)
    spending = Spending()
    for hour, count in enumerate((shape * 4_000).astype(int).tolist()):
        at = TODAY - DAY + hour * DAY // 24
        spending.add(stored(at, "impression", promotion=None, number=count))
    searches = rng.poisson(np.repeat(shape * rng.uniform(0.7, 1.3, 24), 60) * 20)
    spent, waiting = 0, 0
    for minute, count in enumerate(searches.tolist()):
        now = TODAY + (minute + 1) * DAY // 1_440 - 1
        is_active = spending.may_spend("ads", "click", budget=400.0, cost=1.0, now=now)
        spending.add(stored(now, number=waiting))
        spent += waiting
        waiting = int(rng.binomial(count, 0.08)) if is_active else 0
    assert 400 * 0.95 <= spent + waiting <= 400 * 1.05
