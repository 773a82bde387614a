"""Every bound of the protocol, in one place, each with the reason for its number.

Rule: a number that limits what a peer may send, hold or ask lives here and nowhere else. Values that an operator may
change are defaults of ``relay.config``; the names there are the same in lower case. ``SPEC.md`` lists this file.
"""

from __future__ import annotations

from typing import Final

# -- numbers and identifiers ------------------------------------------------------------------------------------------
INT_MAX: Final = 2**53 - 1  # the largest integer that every JSON/JavaScript peer holds exactly
ID_BYTES: Final = 16  # 48 bits of milliseconds + 80 random bits
KEY_BYTES: Final = 32  # Ed25519 and X25519 public keys, SHA-256 values, topic ids
SIGNATURE_BYTES: Final = 64  # Ed25519
NONCE_BYTES: Final = 32  # challenge nonces: no birthday within any lifetime
ID_AGE_MS_MAX: Final = 60 * 86_400_000  # ids older than this get 410, so dedupe rows may be pruned at this age
ID_AHEAD_MS_MAX: Final = 86_400_000  # a clock may be wrong by a day; an id from further ahead is refused with 400

# -- messages and frames ----------------------------------------------------------------------------------------------
MESSAGE_BYTES_MAX: Final = 1 << 20  # one websocket message: holds the largest blob part with room for its frame
LOGIN_BYTES_MAX: Final = 4096  # one message before CONNECT: usually 220 bytes, 2.6 KB with every field at its bound
LOGIN_BUFFER_BYTES_MAX: Final = 64 * 1024  # SUB batches that may follow a CONNECT at once while the login is decided
BATCH_FRAMES_MAX: Final = 256  # frames in one message of a client: bounds the work of one read
HEADER_BYTES_MAX: Final = 4096  # clear header of an entry: an access change of 100 accounts fits
BODY_BYTES_MAX: Final = 72 * 1024  # largest padding bucket (64 KiB) + MLS framing
BUNDLE_WELCOMES_MAX: Final = 100  # accounts that one commit may add
WELCOME_BYTES_MAX: Final = 64 * 1024  # a Welcome names its tree by hash, so only group secrets grow with the added
BUNDLE_BLOBS_MAX: Final = 1024  # references that one entry may hold: every chunk of the largest file, and room
TEXT_BYTES_MAX: Final = 512  # code points of human-readable texts in INFO, ERR, BYE, CLOSED (ours are ASCII)
AGENT_BYTES_MAX: Final = 64  # code points: name and version of the client software
NAME_BYTES_MAX: Final = 32  # code points of feature, method and event names
FEATURES_MAX: Final = 16  # features named in INFO and CONNECT
INFO_ITEMS_MAX: Final = 64  # versions, limits and alternatives named in INFO
TOKEN_BYTES_MAX: Final = 64  # tokens of leases and contacts: at most a SHA-512 or a signature
PARAMS_BYTES_MAX: Final = MESSAGE_BYTES_MAX  # parameters of a REQ: one blob part
EXPIRY_MS_MAX: Final = 366 * 86_400_000  # ttl of an entry: at most a year
EXTENSION_TYPE_MIN: Final = 64  # unknown frame types from here up are ignored, below it they are errors

# -- websocket framing and its HTTP head (RFC 6455, RFC 9112) ---------------------------------------------------------
WEBSOCKET_FRAGMENTS_MAX: Final = 2048  # of one message: 1 MiB in pieces of 512 bytes; each takes the slow path
WEBSOCKET_CONTROL_FRAMES_MAX: Final = 256  # in one read: a peer pings every few seconds; 256 take a millisecond
WEBSOCKET_PONG_BYTES_MAX: Final = 64 * 1024  # pongs nobody has sent yet; beyond it only the last ping is answered
HEAD_BYTES_MAX: Final = 16 * 1024  # HTTP head of a request: browsers with cookies stay below 8 KiB
HEAD_LINE_BYTES_MAX: Final = 8000  # request line: what RFC 9112, section 3, recommends every server to support
HEAD_FIELDS_MAX: Final = 64  # header lines: browsers send under 25, proxies add under 10
SUBPROTOCOLS_OFFERED_MAX: Final = 16  # offered by one client: today it has one, and two in years of change

# -- what one connection may hold -------------------------------------------------------------------------------------
SUBSCRIBE_TOPICS_MAX: Final = 256  # topics in one SUB
SUBSCRIPTIONS_MAX: Final = 2048  # per connection; each costs a few hundred bytes of relay memory
INFLIGHT_PUBS_MAX: Final = 512  # PUBs of a connection that wait for their commit; further ones get 429
OUTBOUND_BYTES_MAX: Final = 256 * 1024  # waiting for a slow socket; beyond it subscriptions fall back to catch-up
CATCHUP_BYTES: Final = 64 * 1024  # read from storage or ring for one subscription in one turn
RING_FRAMES: Final = 256  # recent frames kept per hub: a reconnect within seconds needs no SQL
RING_BYTES_MAX: Final = 256 * 1024  # and at most this much of them
REQUESTS_INFLIGHT_MAX: Final = 64  # REQs of a connection under way

# -- time -------------------------------------------------------------------------------------------------------------
HANDSHAKE_MS: Final = 10_000  # TCP accept to websocket open
LOGIN_MS: Final = 10_000  # websocket open to CONNECT decided
PING_INTERVAL_MS: Final = 25_000  # below the 30 s idle time-out of common middle boxes
PONG_TIMEOUT_MS: Final = 8_000  # slow mobile round trips are under 5 s
STALLED_MS: Final = 30_000  # a socket that accepts nothing for this long is closed (reconnect)
DRAIN_MS: Final = 10_000  # SIGTERM to exit
RECONNECT_MS_MIN: Final = 100  # first back-off of a client
RECONNECT_MS_MAX: Final = 30_000  # last one; jitter is full
CLOCK_SKEW_MS_MAX: Final = 86_400_000  # clocks of clients may be a day off

# -- accounts, devices, key packages ----------------------------------------------------------------------------------
DEVICES_MAX: Final = 32  # devices of an account
DEVICE_LIST_BYTES_MAX: Final = 16 * 1024  # 32 devices of < 400 bytes and a signature
DEVICE_LIST_LIFE_MS: Final = 30 * 86_400_000  # a relay cannot hide a revocation for longer
DEVICE_LIST_RENEW_MS: Final = 7 * 86_400_000  # primaries renew weekly: four chances before the list expires
DEVICE_UNSEEN_MS_MAX: Final = 45 * 86_400_000  # a device unseen for longer no longer holds up retention
HANDLE_CHARS_MIN: Final = 2  # one letter is no name that people remember right
HANDLE_CHARS_MAX: Final = 32  # fits every terminal and label
KEY_PACKAGE_BYTES_MAX: Final = 2048  # measured: ~330 bytes; room for extensions
KEY_PACKAGES_MAX: Final = 128  # one-time packages a device may store
KEY_PACKAGES_LOW: Final = 16  # below this the relay says so (EVT key packages low)
KEY_PACKAGES_TARGET: Final = 64  # what a client keeps there
KEY_PACKAGE_LIFE_S: Final = 60 * 86_400  # as long as dedupe rows live
CLAIM_ACCOUNTS_MAX: Final = 100  # accounts in one claim, as many as a commit may add
LOCKER_BYTES_MAX: Final = 68 * 1024  # a parcel for a new device, or what a recovery code opens: one padded box
LINK_MS: Final = 600_000  # a parcel for a new device waits this long: both devices are in somebody's hands
KNOCKS_BURST: Final = 120  # looks into lockers of others that one address saves up: two minutes of waiting to be linked
KNOCKS_PER_S: Final = 2  # and how fast it may go on: a code has 125 bits, so this only keeps the curious cheap
CONTACT_TOKENS_MAX: Final = 32  # tokens of an account that count: the one of its contacts, and invitations
CONTACT_TOKEN_BYTES: Final = 16  # random: nobody guesses one

# -- conversations ----------------------------------------------------------------------------------------------------
GROUP_DEVICES_MAX: Final = 1000  # default cap of a private topic
ACCESS_CHANGES_MAX: Final = 256  # accounts in one list of an access change; the header's 4 KiB end it at about 110
COMMIT_SPACING_MS: Final = 5_000  # commits that remove nobody: a phone with slow round trips is not refused for ever
GRACE_MS: Final = 10_000  # the previous fence is admitted this long after a commit that removes nobody
RESERVE_MS: Final = 30_000  # a device may reserve the next commit this long
RESERVE_EVERY_MS: Final = 600_000  # once in this time per device and topic
RECOVERING_RETRY_MS: Final = 5_000  # told to who publishes to a restored topic: an admin's client needs some seconds
SEEN_WINDOW: Final = 4096  # chain values a client keeps to check what others have seen
DELIVERED_MEMBERS_MAX: Final = 32  # `rcpt.delivered` stops above this many members
READMIT_BACKOFF_MS: Final = (60_000, 240_000, 960_000)  # 1, 4, 16 minutes
READMIT_ASK_MEMBERS: Final = 3  # members that a request for re-admission goes to
PADDING_BUCKETS: Final = (256, 1024, 4096, 16_384, 65_536)  # sizes that the relay can tell apart
CONTENT_BYTES_MAX: Final = 65_536 - 64  # the largest content that fits the largest bucket with its length and tag
CONTENT_DEPTH_MAX: Final = 16  # nesting inside a content
CONTENT_ITEMS_MAX: Final = 1024  # entries of one array or map inside a content
TEXT_CHARS_MAX: Final = 16_384  # one chat text
SYNC_ITEMS_MAX: Final = 200  # words in one message between own devices: 200 contacts with long names fit 64 KiB
SYNC_NAME_CHARS_MAX: Final = 64  # local name of a contact that own devices share; a longer one stays where it is
READ_MARKS_MS: Final = 5_000  # read marks go to own devices at most this often: nobody changes devices faster

# -- inboxes, blobs, topics -------------------------------------------------------------------------------------------
INBOX_ENTRIES_MAX: Final = 10_000  # unread entries of an inbox; beyond it posts get 507
INBOX_STRANGERS_MAX: Final = 200  # of them by strangers: a screenful of requests, and the rest stays for contacts
TOPICS_PER_DAY: Final = 200  # conversations that an account may found in a day; the busiest people start dozens
BLOB_BYTES_MAX: Final = 960 * 1024  # one sealed blob in one REQ; larger ones go over HTTP
BLOB_UNLINKED_MS: Final = 3_600_000  # an upload that nothing refers to lives an hour
TOPIC_READ_ENTRIES_MAX: Final = 500  # entries of one read
LIST_TOPICS_MAX: Final = 1000  # topics in one answer to `topics.list`: 40 KB
HEADS_TOPICS_MAX: Final = 256  # topics in one `topics.heads`

# -- presence ---------------------------------------------------------------------------------------------------------
PRESENCE_ACCOUNTS_MAX: Final = 256  # accounts that a connection watches: what is on a screen, and the people dearest
PRESENCE_MEMBERS_MAX: Final = 100  # larger conversations acquaint nobody: a thousand watching a thousand is a flood
PRESENCE_WATCHERS_MAX: Final = 1024  # connections that are told of one account; later ones see it as absent
PRESENCE_WATCH_MS: Final = 600_000  # then it is judged anew who may watch whom; clients ask again before
PRESENCE_COALESCE_MS: Final = 2_000  # changes are told together, and a reconnect within it is none
PRESENCE_SEEN_MS: Final = 3_600_000  # steps of "last seen": nobody's sleep is to be read from it
PRESENCE_SEEN_MAX: Final = 50_000  # accounts whose last time is remembered; the longest gone is forgotten first

# -- files ------------------------------------------------------------------------------------------------------------
CHUNK_BYTES: Final = 256 * 1024  # plaintext of a chunk: 4 in flight fill a fast link, and one is soon sent again
CHUNK_BYTES_MIN: Final = 64 * 1024  # smaller ones cost more in requests than in bytes
CHUNK_BYTES_MAX: Final = 1 << 20  # larger ones cost a relay too much memory for each upload under way
CHUNK_SEAL_BYTES: Final = 40  # what sealing adds to a chunk: a nonce of 24 bytes, a tag of 16
CHUNK_PAD_BYTES: Final = 16 * 1024  # the last chunk is filled up to a multiple: its size does not give the file away
SEALED_CHUNK_BYTES_MAX: Final = CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES  # one blob over HTTP
FILE_CHUNKS_MAX: Final = 900  # 30 KB of hashes: with a caption and a thumbnail they fit one message
FILE_BYTES_MAX: Final = FILE_CHUNKS_MAX * CHUNK_BYTES_MAX  # 900 MiB
THUMBNAIL_BYTES_MAX: Final = 16 * 1024  # a preview travels inside the message
BLURHASH_CHARS_MAX: Final = 128  # 9 × 9 components need 166; nobody draws with more than 7 × 7
TICKET_BYTES: Final = 32  # unguessable: the only proof of who uploads and reads blobs over HTTP
TICKET_LIFE_MS: Final = 600_000  # longer than any one request, short enough that a stolen one is soon worthless
DEVICE_TICKETS_MAX: Final = 4  # of one device at once; the oldest goes when there are more
TICKETS_MAX: Final = 100_000  # of all devices: 20 MB of a relay's memory
BLOB_RENEW_MAX: Final = 256  # hashes in one `blobs.renew`
BLOB_RENEW_MS: Final = 1_200_000  # a long upload renews what is up every 20 minutes: twice before its hour is over
BLOB_RESERVE_BYTES: Final = 64 << 20  # beyond an account's quota, for trees: a full quota must not block a removal

# -- admission --------------------------------------------------------------------------------------------------------
FRAME_MS: Final = 10_000  # a websocket frame or message that has begun may pause no longer, and comes at least at:
FRAME_BYTES_PER_S: Final = 4096  # the slowest line that is served; the largest message then takes about four minutes
PUBLISHES_PER_S: Final = 2000  # stored messages of a device: twice what one encrypts in a second
EPHEMERALS_PER_S: Final = 50  # ephemeral messages of a device: typing in several conversations is below ten
REQUESTS_PER_S: Final = 100  # REQ and SUB of a device
OTHERS_PER_S: Final = 5000  # frames that nothing answers (ACK, UNSUB, PING); beyond it they are dropped and counted
BYTES_PER_S: Final = 8 << 20  # of a device: fast uploads take eight seconds of it for 64 MiB
BYTES_PER_S_MIN: Final = 1 << 20  # a bucket holds two seconds: the largest message must fit it
ACCOUNT_SHARE: Final = 4  # devices that an account may keep fully busy at once
ADDRESS_SHARE: Final = 32  # devices behind one network address (an office, a carrier) that may be fully busy at once
CONNECTS_PER_S: Final = 256  # new connections from one network address; a whole office comes back within two seconds
PATIENCE_REFUSALS: Final = 2048  # refusals for rate that a device may collect at once; an SDK collects at most 512
PATIENCE_PER_S: Final = 50  # and so many each second go by; beyond it the connection ends with BYE 4007
PATIENCE_PER_MESSAGE: Final = 100  # and each message with refused frames counts so much more
PATIENCE_BYTES: Final = 16 * 1024  # a refused message counts once more for each of these
FLOOD_RECONNECT_MS: Final = 10_000  # told to whoever was cut off for flooding
KICK_RECONNECT_MS: Final = 5_000  # told to whoever the operator sent away
CONNECTIONS_PER_ACCOUNT: Final = 32  # as many as an account has devices
INVITE_BYTES: Final = 16  # a token that nobody guesses
INVITE_USES_MAX: Final = 10_000  # a whole company with one invitation
INVITE_DAYS_MAX: Final = 366  # an invitation that is a year old has been forgotten by everybody but a thief
PROOF_BITS: Final = 20  # a million hashes: about a second of one core, for each account
PROOF_BITS_MAX: Final = 26  # an hour on a slow phone; no operator may ask for more
PROOF_BITS_SOLVED_MAX: Final = 24  # half a minute: clients do not work longer for a relay
BAN_REASON_CHARS_MAX: Final = 200  # one line in `chappe admin bans`
BANS_MAX: Final = 100_000  # kept in memory of every relay: about 30 MB
QUOTA_MAX: Final = 1_000_000_000  # of any bound of a single account

# -- reports ----------------------------------------------------------------------------------------------------------
EVIDENCE_MESSAGES_MAX: Final = 1000  # of a conversation that a client can still prove: half a megabyte of its vault
EVIDENCE_LIFE_MS: Final = 30 * 86_400_000  # and for how long: whoever means to report does so within a month
EVIDENCE_CONTEXT_BYTES_MAX: Final = BODY_BYTES_MAX  # a GroupContext: 150 bytes; a group that pads it stays reportable
REPORT_NEIGHBOURS_MAX: Final = 10  # messages attached to a reported one: a screenful explains most
REPORT_TEXT_CHARS_MAX: Final = 2000  # what a reporter says about it
REPORT_PAD_BYTES: Final = 4096  # sizes of reports are multiples: the relay does not learn how long a message was
REPORT_BYTES_MAX: Final = 256 * 1024  # one sealed report: the largest message with device lists and a context of chats
REPORTS_MAX: Final = 2000  # kept by a relay: up to 512 MB; beyond it the oldest closed one goes, if there is one
REPORTS_WAITING_PER_ACCOUNT: Final = 20  # not closed yet: a hundred accounts have to conspire to fill the queue
REPORTS_BURST: Final = 10  # reports of an account at once: a whole spam wave
REPORTS_EVERY_S: Final = 600  # and then one in ten minutes
REPORT_NOTE_CHARS_MAX: Final = 500  # what the operator writes when closing one: a paragraph
# -- settlement -------------------------------------------------------------------------------------------------------
LEDGER_ID_BYTES_MAX: Final = 64  # idempotency key of an operation: a message id and the payer's key are 48
LEDGER_MEMO_BYTES_MAX: Final = 256  # a reference and a short note; larger things stay in the conversation
LEDGER_NAME_CHARS_MAX: Final = 24  # credits of an operator's own: a label that fits a phone
LEDGER_EXPONENT_MAX: Final = 8  # ISO 4217 ends at 4; with 8 a ledger still counts to 90 million units
LEDGER_CHAIN_MAX: Final = 100  # linked operations: a red packet for a group of 100
LEDGER_PENDING_MS_MAX: Final = 366 * 86_400_000  # money is held for at most a year
PAY_WINDOW_MS_MAX: Final = 7 * 86_400_000  # an authorization lives at most a week: a phone may be off for a holiday
PAY_WINDOW_MS: Final = 86_400_000  # and usually a day: what is not settled by then must not surprise anybody
PAY_CLAIM_MS: Final = 14 * 86_400_000  # money waits two weeks for somebody who opens a wallet
PAY_REQUEST_MS: Final = 30 * 86_400_000  # a request can be paid for a month
PAY_MEMO_CHARS_MAX: Final = 140  # what a payment is for: a line on a screen
PAY_ITEMS_MAX: Final = 50  # lines of a request: a long bill
PAY_BLOB_BYTES_MAX: Final = 8192  # a request of 50 lines, or a receipt with 53 hashes
PAY_LEDGERS_MAX: Final = 64  # currencies of one wallet
PACKET_SHARES_MAX: Final = 100  # one linked chain of the ledger; more people than that do not see one packet
PACKET_MS: Final = 86_400_000  # what nobody has taken of a packet within a day goes back
PACKET_SKEW_MS: Final = 300_000  # and the payer's clock may be five minutes ahead
PACKET_BYTES_MAX: Final = 4096  # its terms: 100 members
SPLIT_PARTS_MAX: Final = 100  # people of one bill
DISPUTE_AFTER_MS: Final = 60 * 86_400_000  # a payment can be disputed for two months
DISPUTE_MS: Final = 14 * 86_400_000  # and its money frozen for two weeks: then it is the payee's again
DISPUTE_STEPS_MAX: Final = 40  # both together: more is for the operator to end
DISPUTE_TEXT_CHARS_MAX: Final = 1000  # of one step: two screens
STAKE_PLAYERS_MAX: Final = 8  # of one match; with payouts a chain of 16 operations
STAKE_WINDOW_MS_MAX: Final = 7 * 86_400_000  # a referee may correct a result for a week at most
STAKE_MS_MAX: Final = 90 * 86_400_000  # stakes are held for three months at most: a slow correspondence game
STAKE_MARGIN_MS: Final = 60_000  # a result is paid at least a minute before the stakes would expire
STAKE_RETRY_MS: Final = 3_600_000  # until a payout that the books refused (a frozen account) is tried again
STAKES_DUE_MAX: Final = 1000  # results whose window is open; beyond it new ones wait
PAY_ENTRIES_MAX: Final = 100  # lines of history in one answer: two screens, 15 KB

# -- workers ----------------------------------------------------------------------------------------------------------
SLOTS: Final = 256  # parts of a worker's topics, leased one by one: up to 64 processes still share them evenly
WORKER_PROCESSES_MAX: Final = 64  # processes of one worker at a time: 4 slots each; a machine has fewer cores
WORKER_ACCOUNTS_MAX: Final = 256  # workers of one relay at a time: it keeps the topics of each in memory
WORKER_TOPICS_MAX: Final = 1_000_000  # topics of one worker that a relay keeps in memory: about 150 MB
RELEASE_MS: Final = 10_000  # a process that is asked to hand slots over writes what it has; then they are taken
LEASED_TOPICS_MAX: Final = 1024  # subscriptions that one process of a worker has at a time; idle ones make room

# -- feeds ------------------------------------------------------------------------------------------------------------
FEED_SHARDS: Final = 64  # logs that point to all public entries: as many rankers can share them
FEED_TAGS_MAX: Final = 8  # tags of an entry: whoever needs more wants to be found, not understood
FEED_TAG_CHARS_MAX: Final = 32  # one tag: the longest German words in use
FEED_KIND_CHARS_MAX: Final = 16  # name of a kind of entry
FEED_TEXT_CHARS_MAX: Final = 4000  # text of a post: an essay of two pages; longer things are files
FEED_MEDIA_MAX: Final = 4  # files of a post: what fits a screen
FEED_NAME_CHARS_MAX: Final = 64  # the name in a profile
FEED_BIO_CHARS_MAX: Final = 500  # what a profile says
FEED_LABEL_CHARS_MAX: Final = 64  # a label on an entry
FEED_SOURCES_MAX: Final = 4  # addresses that back a context note
FEED_SOURCE_CHARS_MAX: Final = 512  # one such address
FEED_READ_MAX: Final = 100  # entries in one `feeds.read`: three screens
FEED_GET_MAX: Final = 64  # entries in one `feeds.get`: a ranked page, or what a screen quotes
FEED_READ_BYTES_MAX: Final = 512 * 1024  # of entries in one answer: half a message, whatever their size
FEED_LIVE_MAX: Final = 256  # feeds that a reader follows live; heads of the others are asked for
FEED_FOLLOWS_MAX: Final = 5000  # feeds that an account follows: 20 questions for their heads
FEED_NEWS_MS: Final = 60_000  # between two notices of new posts in a chat: it is a chat, not a ticker
FEED_NEWS_HEADS_MS: Final = 300_000  # until the heads of feeds that do not come live are asked for again
FEED_NEWS_READ_MAX: Final = 64  # of such feeds that are read for one notice, a question each
FEED_LISTS_MAX: Final = 32  # lists of authors that an account keeps: nobody finds their way among more
FEED_LIST_ACCOUNTS_MAX: Final = 256  # authors on one list: one question for their heads
FEED_LIST_CHARS_MAX: Final = 32  # name of a list: 200 places on lists fit one message between own devices

# -- games ------------------------------------------------------------------------------------------------------------
GAME_NAME_CHARS_MAX: Final = 48  # `openspiel:` and the longest name there
GAME_ACTION_CHARS_MAX: Final = 128  # one action: the longest are a backgammon move, and a reveal with its salt
GAME_PARAMETERS_MAX: Final = 8  # parameters of one game; the most that any has is four
GAME_VALUE_CHARS_MAX: Final = 100  # one parameter as text: a chess position (FEN) has at most 90
GAME_SEATS_MAX: Final = 10  # players of one match
GAME_PLIES_MAX: Final = 20_000  # entries of one match: the longest chess game under the 75-move rule has 17,697 moves
GAME_ENDING_PLIES: Final = 16  # of them only the end may use: resignation, time, seed and result always fit
GAME_TRANSCRIPT_BYTES_MAX: Final = 32 << 20  # that many entries of two signatures and three hashes, with room
GAME_SALT_BYTES: Final = 16  # of a committed move: nobody finds the move by trying salts
GAME_OFFERS_PER_MOVE: Final = 1  # draw offers and take-back requests of a player between two moves: asking is no weapon
GAME_TAKEBACKS_MAX: Final = 20  # granted in one match: taking back for ever would be a match without end
GAME_CLOCK_MS_MAX: Final = 30 * 86_400_000  # time of one player, or for one move of a correspondence game
GAME_PERIODS_MAX: Final = 99  # periods of byo-yomi
GAME_LAG_MS_MAX: Final = 1000  # of the network's time that is not charged for one move
GAME_LAG_MOVES: Final = 20  # a match gives back at most this many times that: a false stopwatch gains 20 s at most
GAME_OFFER_MS: Final = 7 * 86_400_000  # an offer that nobody took in a week is forgotten
GAME_START_MS: Final = 60_000  # until somebody moves for the first time; correspondence games have a move's time
GAME_GRACE_MS: Final = 90_000  # whoever lost the connection may come back: a restart of a phone takes less
GAME_SPECTATOR_DELAY_MS: Final = 15_000  # spectators see the past: nobody is helped by a friend who watches
GAME_FETCH_ENTRIES: Final = 64  # entries of a log in one answer to whoever lacks them; more are asked for again
GAME_TABLES_OF_ONE: Final = 64  # open offers and matches of one account: more than anybody plays, bots included
GAME_WATCHERS_MAX: Final = 256  # spectators of one match: each costs the referee a message for every move
GAME_WATCHED_MAX: Final = 16  # matches that one account watches
GAME_SIGNED_BYTES_MAX: Final = 16 * 1024  # a signed genesis: ten players of 32 devices; an entry has about 700 bytes
GAME_OBSERVATION_BYTES_MAX: Final = 8192  # what one player sees: a 19 × 19 board has 400 bytes
GAME_AWARD_BYTES_MAX: Final = 512  # a signed result of a stake: eight payouts, two hashes and a signature
GAME_STAKE_WINDOW_MS: Final = 3_600_000  # from the referee's result to the payout: an hour in which it may be corrected
GAME_STAKE_MS: Final = 2 * 86_400_000  # stakes of a game in one sitting are held for two days at most
GAME_SLOW_STAKE_MS: Final = 89 * 86_400_000  # of one without a clock, or by days: a day less than settlement allows

# -- ranking ----------------------------------------------------------------------------------------------------------
RANK_SIGNALS_MAX: Final = 100  # signals in one message: what somebody does in some minutes
RANK_SIGNALS_PER_DAY: Final = 20_000  # of one reader: a post every four seconds, all day and night; the rest is dropped
RANK_HIDDEN_MAX: Final = 256  # authors, and words, that a reader names as not to be shown
RANK_TEXT_CHARS_MAX: Final = 1000  # one explanation in words
RANK_DWELL_MS_MAX: Final = 3_600_000  # nobody reads one post for longer than an hour
RANK_EXPORT_BYTES_MAX: Final = 60_000  # what is known of a reader, in one message
RANK_PAGE_BYTES_MAX: Final = 48 * 1024  # a signed page: 50 items of at most 900 bytes
RANK_TAGS_MAX: Final = 8  # tags of a post that count; a post with 10,000 is about nothing
RANK_TAG_CHARS_MAX: Final = 64  # of one tag: long compound words fit
RANK_PAGE_ITEMS_MAX: Final = 50  # posts on one page: with their arithmetic about 15 KB
RANK_BRIEFING_ITEMS: Final = 7  # posts of a day's briefing: what one reads to the end
RANK_SOURCES_MAX: Final = 8  # links of a context note
RANK_SOURCE_CHARS_MAX: Final = 512  # of one link
RANK_MODEL_POSTS_MAX: Final = 5_000  # posts in a model that is shipped to devices: about 5 MB
RANK_MODEL_FEATURES_MAX: Final = 50_000  # features with weights in it
RANK_MODEL_BYTES_MAX: Final = 32 << 20  # a signed model with all of that: what a device reads into memory at once
RANK_HISTORY_MAX: Final = 50  # last posts of a reader that a score depends on
RANK_FOLLOWS_MAX: Final = 5_000  # authors that one reader follows; nobody reads more
