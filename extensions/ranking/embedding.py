"""Low-rank co-engagement: each post has a place as context and a place as what comes next.

The probability that a reader engages next with post j after posts h is ``softmax(b_j + B_j · z)`` with ``z`` the sum
of ``A_h``, recent ones weighing most: item-to-item factors (Kabbur et al., "FISM", 2013; Barkan and Koenigstein,
"Item2vec", 2016) with order. It is learned online with AdaGrad (Duchi et al., 2011), one step per row, on a sample of
the other posts.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.catalog import Slots
from protocol.scoring.hashing import mix
from protocol.scoring.local import CONTEXT, DIMENSIONS, UNIT, recency_weights

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
RATE: Final = 0.15  # of AdaGrad
CALM: Final = 0.1  # sum of squares that every row begins with
FAINT: Final = 0.5  # of an average post's chance: posts that were thought less likely than this learn nothing
_SCALE: Final = 0.1  # standard deviation of what is not learned yet
_FIRST: Final = 1024
_WHOLE: Final = tuple(np.array(recency_weights(n), dtype=np.float64) for n in range(CONTEXT + 1))
_WEIGHTS: Final = tuple((whole / UNIT).astype(np.float32) for whole in _WHOLE)


class Embedding:
    """Factors of posts by slot."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.rate = RATE
        self.context = np.zeros((_FIRST, DIMENSIONS), dtype=np.float32)
        self.target = np.zeros((_FIRST, DIMENSIONS), dtype=np.float32)
        self.bias = np.zeros(_FIRST, dtype=np.float32)
        self.squares = np.full((3, _FIRST), CALM, dtype=np.float32)  # of context, target, bias

    def reserve(self, size: int) -> None:
        """Room for so many slots."""
        while len(self.bias) < size:
            for field in ("context", "target", "bias"):
                old: NDArray[Any] = getattr(self, field)
                setattr(self, field, np.concatenate((old, np.zeros_like(old))))
            self.squares = np.concatenate((self.squares, np.full_like(self.squares, CALM)), axis=1)

    def begin(self, slot: int, serial: int) -> None:
        """A new post: a random place, the same for the same seed and serial."""
        random = np.random.Generator(np.random.PCG64(mix(serial ^ self._seed)))
        factors = random.standard_normal((2, DIMENSIONS), dtype=np.float32) * np.float32(_SCALE)
        self.context[slot], self.target[slot] = factors
        self.bias[slot] = 0.0
        self.squares[:, slot] = CALM

    def score(self, history: Slots, slots: Slots) -> Floats:
        """Log-odds, up to a constant of the reader's, of what comes next. In whole numbers, as the device does."""
        used = history[:CONTEXT]
        taste = np.floor(_WHOLE[len(used)] @ whole(self.context[used]) / UNIT)
        return whole(self.target[slots]) @ taste / (UNIT * UNIT) + self.bias[slots]

    def learn(self, history: Slots, slots: Slots, strength: float) -> None:
        """The first of ``slots`` came next, the others did not."""
        used = history[:CONTEXT]
        weights = _WEIGHTS[len(used)]
        place = weights @ self.context[used]
        odds = self._odds(place, slots)
        odds -= odds.max()
        np.exp(odds, out=odds)
        error = odds / -odds.sum()
        error[0] += 1.0
        taught = (np.abs(error) > FAINT / len(slots)).nonzero()[0]
        rows = slots[taught]
        error = error[taught] * np.float32(strength)
        squares = error * error
        self.squares[2, rows] += squares
        self.bias[rows] += self.rate * error / np.sqrt(self.squares[2, rows])
        if not len(used):
            return
        targets = np.take(self.target, rows, axis=0)
        pull = error @ targets
        self.squares[1, rows] += squares * (place @ place / DIMENSIONS)
        steps = self.rate * error / np.sqrt(self.squares[1, rows])
        targets += steps[:, None] * place
        self.target[rows] = targets
        self.squares[0, used] += weights * weights * (pull @ pull / DIMENSIONS)
        self.context[used] += (self.rate * weights / np.sqrt(self.squares[0, used]))[:, None] * pull

    def _odds(self, place: Singles, slots: Slots) -> Singles:
        """``target · place + bias`` of some slots; for most of the first ones it is faster to take them all."""
        size = int(slots.max()) + 1
        if size > 2 * len(slots):
            few: Singles = np.take(self.target, slots, axis=0) @ place + np.take(self.bias, slots)
            return few
        every: Singles = (self.target[:size] @ place + self.bias[:size])[slots]
        return every

    def state(self, size: int) -> dict[str, Any]:
        """The first ``size`` rows, for a snapshot."""
        rows = {field: getattr(self, field)[:size].copy() for field in ("context", "target", "bias")}
        return {**rows, "squares": self.squares[:, :size].copy(), "seed": self._seed}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Embedding:
        """What ``state`` told."""
        made = cls(state["seed"])
        size = len(state["bias"])
        made.reserve(size)
        for field in ("context", "target", "bias"):
            getattr(made, field)[:size] = state[field]
        made.squares[:, :size] = state["squares"]
        return made


def whole(coordinates: Singles) -> Floats:
    """Coordinates in 2**-16: whole numbers, whose products and sums stay below 2**53 and so are exact in any order."""
    rounded: Floats = np.rint(coordinates * np.float32(UNIT)).astype(np.float64)
    return rounded
