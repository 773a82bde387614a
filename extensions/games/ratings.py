"""Glicko-2 ratings, from Mark Glickman's published description (glicko.net, "Example of the Glicko-2 system", 2022).

Step numbers are those of that paper. A rating period is whatever the caller takes for one; games within it count at
once. Scores are 1 for a win, 0.5 for a draw, 0 for a loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol.rules.base import Result

_SCALE: Final = 173.7178  # step 2: between the two scales
_CONVERGED: Final = 1e-6  # step 5.1
TAU: Final = 0.5  # how fast volatility may change; the paper names 0.3 to 1.2
DEVIATION_MAX: Final = 350.0  # of somebody unknown; nobody gets less certain than that


@dataclass(frozen=True, slots=True)
class Rating:
    """What is thought of a player: rating, how uncertain that is, and how steady the player is."""

    rating: float = 1500.0
    deviation: float = DEVIATION_MAX
    volatility: float = 0.06

    @property
    def interval(self) -> tuple[float, float]:
        """Where the strength lies with 95 % confidence."""
        return self.rating - 2 * self.deviation, self.rating + 2 * self.deviation


def _weight(phi: float) -> float:
    """g(φ), step 3."""
    return 1 / math.sqrt(1 + 3 * phi * phi / math.pi**2)


def _expected(mu: float, other: float, phi: float) -> float:
    """E(μ, μ_j, φ_j), step 3."""
    return 1 / (1 + math.exp(-_weight(phi) * (mu - other)))


def expected_score(player: Rating, opponent: Rating) -> float:
    """The score that the player is expected to get, between 0 and 1; the uncertainty of both counts."""
    phi = math.hypot(player.deviation, opponent.deviation) / _SCALE
    return _expected(player.rating / _SCALE, opponent.rating / _SCALE, phi)


def rate(player: Rating, games: Sequence[tuple[Rating, float]], tau: float = TAU) -> Rating:
    """The rating after a period of games (opponent as it was before the period, score)."""
    phi = player.deviation / _SCALE
    if not games:  # step 6: who does not play gets less certain
        return Rating(player.rating, _bounded(math.hypot(phi, player.volatility)), player.volatility)
    mu = (player.rating - 1500) / _SCALE
    rows = [((other.rating - 1500) / _SCALE, other.deviation / _SCALE, score) for other, score in games]
    facts = [(_weight(deviation), _expected(mu, rating, deviation), score) for rating, deviation, score in rows]
    variance = 1 / sum(g * g * e * (1 - e) for g, e, _score in facts)  # step 3
    surplus = sum(g * (score - e) for g, e, score in facts)
    volatility = _volatility(phi, player.volatility, variance, variance * surplus, tau)
    before = math.hypot(phi, volatility)  # step 6
    after = 1 / math.sqrt(1 / before**2 + 1 / variance)  # step 7
    return Rating(1500 + _SCALE * (mu + after**2 * surplus), _bounded(after), volatility)


def _bounded(phi: float) -> float:
    return min(DEVIATION_MAX, phi * _SCALE)


def _volatility(phi: float, sigma: float, variance: float, delta: float, tau: float) -> float:
    """Step 5: the new volatility, by the Illinois variant of regula falsi."""
    a = math.log(sigma * sigma)

    def f(x: float) -> float:
        grown = phi * phi + variance + math.exp(x)
        return math.exp(x) * (delta * delta - grown) / (2 * grown * grown) - (x - a) / (tau * tau)

    low = a
    if delta * delta > phi * phi + variance:
        high = math.log(delta * delta - phi * phi - variance)
    else:
        steps = 1
        while f(a - steps * tau) < 0:
            steps += 1
        high = a - steps * tau
    f_low, f_high = f(low), f(high)
    while abs(high - low) > _CONVERGED:
        middle = low + (low - high) * f_low / (f_high - f_low)
        f_middle = f(middle)
        if f_middle * f_high <= 0:
            low, f_low = high, f_high
        else:
            f_low /= 2
        high, f_high = middle, f_middle
    return math.exp(low / 2)


def rate_match(players: tuple[Rating, Rating], result: Result, tau: float = TAU) -> tuple[Rating, Rating]:
    """Both ratings after one match for two; unchanged if it was aborted. Raises ``ValueError`` for more than two."""
    if not result.points:
        return players
    if len(result.points) != 2:
        raise ValueError(f"Glicko-2 rates matches of two, not of {len(result.points)}")
    one, other = players
    first, second = (points / 2 for points in result.points)
    return rate(one, [(other, first)], tau), rate(other, [(one, second)], tau)
