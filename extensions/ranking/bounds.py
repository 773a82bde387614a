"""Every bound of ranking, each with its reason. What peers may send is bounded in ``protocol.limits``."""

from __future__ import annotations

from typing import Final

ID_BYTES_MAX: Final = 32  # of a post, an account, a note: message ids have 16 bytes, keys 32
RANKING_ITEMS: Final = 100  # places of one ranking: who has read a hundred posts gets a new ranking
RANKINGS_KEPT: Final = 4  # rankings of one reader that can still be paged through: one a device
RANKING_LIFE_MS: Final = 3_600_000  # and for how long; signals for an older one are still counted, unplaced
POST_AGE_MS: Final = 14 * 86_400_000  # older posts are no candidates; what they taught stays until it fades
WORDS_MAX: Final = 1 << 20  # of one post: what claims more is treated as this

# -- what is remembered -----------------------------------------------------------------------------------------------
POSTS_MAX: Final = 65_536  # posts in memory, about 2.4 KB each; beyond it the eighth untouched for longest goes
READERS_MAX: Final = 50_000  # readers in memory, 3 KB and what they saw; beyond it the eighth away for longest goes
EXPIRE_SHARE: Final = 8  # one part in eight at once: the sorting is paid for by thousands of arrivals
HISTORY: Final = 200  # last posts that a reader engaged with; the last 50 count, the others are no counter-examples
SEEN_MAX: Final = 4_000  # posts that a reader saw and is not shown again: more than anybody reads in two weeks
FOLLOWS_MAX: Final = 5_000  # of a reader; nobody reads more authors
FEATURES_MAX: Final = 1 << 18  # hashed features with weights, 100 bytes each; beyond it those untouched for longest go
NEIGHBOURS: Final = 64  # co-engaged posts that one post remembers

# -- what counts ------------------------------------------------------------------------------------------------------
CLOCK_AHEAD_MS: Final = 86_400_000  # a post from further ahead of the log is refused; others are taken as of now
SIGNALS_PER_HOUR: Final = 3_600  # of one reader: one a second; beyond it they are refused until the hour is over
NEGATIVES_PER_DAY: Final = 20  # hides and reports of one reader that count for others; its own pages obey them all
DWELL_S_MIN: Final = 3.0  # time for the shortest post
DWELL_WORDS_PER_S: Final = 4.0  # people read 200 to 250 words a minute
ENGAGED_DWELL: Final = 0.5  # share of the time a post takes: less is no engagement
CREDIBLE_AT: Final = 2  # posts that a reader engaged with until its word counts in full for others
CREDIBILITY_MIN: Final = 0.5  # of somebody who has just come: accounts made for one push count half
MUTUAL_SHARE: Final = 0.25  # of an engagement between people who engage with each other: friends tell strangers little
AUTHORS_MAX: Final = 500  # authors whose posts a reader engaged with, remembered for that
LESS_MAX: Final = 256  # authors and tags that a reader wants less of; the oldest wish goes first
RATINGS_MAX: Final = 100_000  # judgements kept for bridging: the newest; older ones have done their work
RATINGS_PER_RATER: Final = 1_000  # of them by one rater
NOTES_MAX: Final = 20_000  # context notes in memory; the oldest goes first

# -- candidates -------------------------------------------------------------------------------------------------------
CANDIDATES: Final = 1_000  # posts that are scored for one ranking: under a millisecond
PER_AUTHOR: Final = 50  # newest posts of one author that are candidates for who follows it
PER_TAG: Final = 200  # newest posts of one tag
NEWEST: Final = 1_000  # newest posts of all
EXPLORE_EVERY: Final = 20  # one place in twenty is for exploration: 5 %
EXPLORE_AGE_MS: Final = 2 * 86_400_000  # of posts that are explored: new ones
EXPLORE_VIEWS: Final = 20  # looks after which enough is known of a post
BRIEFING_AGE_MS: Final = 36 * 3_600_000  # a day, and what came in the evening before

# -- circles ----------------------------------------------------------------------------------------------------------
CIRCLES_MAX: Final = 1_000  # circles of one ranker: with all of their logs full, two gigabytes on the disk
CIRCLES_OF_ONE: Final = 32  # of them admitted by one account: nobody fills a ranker up alone
CIRCLE_EVENTS_MAX: Final = 5_000  # newest events that a circle's log keeps: read again in 0.4 s
CIRCLE_BYTES_MAX: Final = 2 << 20  # of them: a ranking that was made has up to 3 KB
CIRCLES_LOADED: Final = 16  # in memory between batches: 2.2 MB each when new, 6 MB more when the log is full
CIRCLE_TICK_MS: Final = 60_000  # between fits of what bridges, while something is said
CIRCLE_JUDGED_MS: Final = 2_000  # where notes or ratings have come meanwhile
