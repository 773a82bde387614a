"""Every bound of ranking, each with its reason. What peers may send is bounded in ``protocol.limits``."""

from __future__ import annotations

from typing import Final

ID_BYTES_MAX: Final = 32  # of a post, an account, a note: message ids have 16 bytes, keys 32
RANKING_ITEMS: Final = 100  # places of one ranking: who has read a hundred posts gets a new ranking
RANKINGS_KEPT: Final = 4  # rankings of one reader that can still be paged through: one a device
RANKING_LIFE_MS: Final = 3_600_000  # and for how long; signals for an older one are still counted, unplaced
POST_AGE_MS: Final = 14 * 86_400_000  # older posts are no candidates; what they taught stays until it fades
