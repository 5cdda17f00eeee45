"""What a soak calls flat, and what its tables say."""

from collections import Counter

import pytest

from tests.reliability.soak import tables
from tests.reliability.soak_calls import Ending
from tests.reliability.soak_figures import Figures, Sample
from tests.reliability.soak_traffic import Tally

CALM = Sample(100.0, 20, 10)


def figures(*thirds: Sample) -> Figures:
    """Five equal samples in each third, and one that stands out, which a quartile does not see."""
    return Figures({"stdio0": [[one] * 5 + [Sample(900.0, 900, 900)] for one in thirds]})


@pytest.mark.parametrize(
    ("last", "risen"),
    [
        (CALM, None),
        (Sample(109.9, 23, 13), None),
        (Sample(50.0, 5, 1), None),
        (Sample(110.1, 20, 10), "memory rose from 100.0 to 110.1 MB"),
        (Sample(100.0, 24, 10), "file descriptors rose from 20 to 24"),
        (Sample(100.0, 20, 14), "threads rose from 10 to 14"),
    ],
)
def test_flat_means_that_the_last_third_is_like_the_second(last: Sample, risen: str | None) -> None:
    # The first third is the warm-up, whatever it was like.
    (trend,) = figures(Sample(10.0, 1, 1), CALM, last).trends()
    assert trend.risen == ([f"stdio0: {risen}"] if risen else [])


def test_the_tables_say_how_long_with_which_seed_and_what_was_wrong() -> None:
    ended = Counter[Ending]({"answered": 2000, "cancelled": 3})
    tally = Tally({"draft": ended}, {"draft": ["lost"], "status": ["another's"]})
    calls, processes = tables(60, 7, True, tally, figures(CALM, CALM, Sample(500.0, 20, 10)).trends())
    assert calls.title == "An hour of mixed calls"
    assert calls.text.startswith("2,005 calls over 6 sessions")
    assert "seed 7" in calls.text
    assert calls.rows == [["draft", "2,000", "0", "3", "1"], ["status", "0", "0", "0", "1"]]
    assert processes.rows == [["stdio0, which holds the model", "100.0 → 500.0", "20 → 20", "10 → 10", "**no**"]]
