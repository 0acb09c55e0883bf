"""The server's clock as its answers tell it; this machine's own is right as long as none contradicts it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from agentspan.clock import ServerClock


def heard(clock: ServerClock, ahead: float, took: float = 0.01) -> None:
    """An answer of a server whose clock is this much ahead of ours, as of now."""
    answered = time.monotonic()
    date = formatdate(int(time.time() - took / 2 + ahead), usegmt=True)
    clock.heard(date, answered - took, answered)


def test_without_an_answer_it_is_our_own() -> None:
    assert ServerClock().now() == pytest.approx(time.time(), abs=0.1)


def test_a_server_whose_clock_is_ours_changes_nothing() -> None:
    clock = ServerClock()
    heard(clock, 0)
    assert clock.now() == pytest.approx(time.time(), abs=0.1)


@pytest.mark.parametrize("ahead", [-3600.0, -60.0, 60.0, 3600.0])
def test_one_answer_tells_it_to_a_second(ahead: float) -> None:
    clock = ServerClock()
    heard(clock, ahead)
    assert clock.now() == pytest.approx(time.time() + ahead, abs=1.1)


def test_more_answers_tell_it_better() -> None:
    clock = ServerClock()
    base = time.monotonic()
    for tenth in range(25):  # an answer each 0.1 s, of a server 100 s ahead of the monotonic clock
        asked = base + tenth / 10
        clock.heard(formatdate(int(asked + 0.01 + 1e9), usegmt=True), asked, asked + 0.02)
    low, high = clock._bounds
    assert low <= 1e9 <= high
    assert high - low < 0.15


def test_a_clock_that_was_set_is_followed() -> None:
    clock = ServerClock()
    heard(clock, 0)
    heard(clock, 500)
    assert clock.now() == pytest.approx(time.time() + 500, abs=1.1)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_date_says_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.heard(date, 0.0, 1.0)
    assert clock.now() == pytest.approx(time.time(), abs=0.1)
