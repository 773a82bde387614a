"""Contacts and strangers: tokens that show who is known, requests that wait to be accepted, blocks that nobody notices.

An account gives its contacts a token inside the encryption, and the relay only its hash. Whoever shows it gets one-time
key packages and room in the inbox; all others are strangers. A conversation that a stranger begins is a *request*: what
is said in it can be read, and nothing of ours leaves in it until it is accepted. A block takes the token away from
everybody and gives a new one to those who stay; towards the blocked account we behave like a device that is switched
off: nothing is answered, and nothing of it is shown.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from clients import records as R
from clients.connection import Link, LinkDown, Refusal
from clients.directory import Directory
from clients.records import Status
from clients.shelf import Shelf
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.ids import TopicKind, contact_hash
from protocol.limits import CONTACT_TOKEN_BYTES, CONTACT_TOKENS_MAX
from protocol.messages import Body
from protocol.messages.key import Contact as ContactBody
from protocol.requests import SetTokens

RETRY_S = 5.0
TOKENS_MAX = 10_000  # of accounts that are no contacts: 1 MB of vault, whoever sends us theirs


class NotAllowed(ChappeError):
    """Something about contacts cannot be done; the text says why."""


class Contacts:
    """Who is known to one client."""

    def __init__(self, shelf: Shelf, directory: Directory) -> None:
        self._shelf = shelf
        self._directory = directory
        self._wake = trio.Event()
        self.holds_requests = False  # whether conversations by strangers wait to be accepted
        self.send_box: Callable[[bytes, bytes, Body], None] = lambda account, device, body: None
        self.accepted: Callable[[bytes], None] = lambda topic: None
        self.may_begin: Callable[[], bool] = lambda: True  # whether the account's first token is ours to make

    # -- tokens --------------------------------------------------------------------------------------------------------
    def nudge(self) -> None:
        """Tokens or contacts have changed."""
        self._wake.set()

    async def run(self, link: Link) -> None:
        """Keep the relay's hashes and the contacts' tokens as they should be, while a connection lasts."""
        while True:
            self._wake = trio.Event()
            try:
                await self._publish(link)
                await self._give(link)
            except LinkDown:
                return
            except (Refusal, RemoteProtocolError) as error:
                if getattr(error, "retry_ms", None) is not None:
                    await trio.sleep(RETRY_S)
                    continue
            await self._wake.wait()

    async def _publish(self, link: Link) -> None:
        identity = self._shelf.identity
        if not identity.contact_token and not self.may_begin():
            return  # another device has one and tells us; it nudges us then
        if not identity.contact_token:
            identity.contact_token = self._shelf.entropy(CONTACT_TOKEN_BYTES)
            self._shelf.save_identity()
        tokens = (*identity.invite_tokens, identity.contact_token)
        if tokens != identity.published_tokens:
            await self._shelf.journal.flushed()
            hashes = tuple(contact_hash(self._shelf.account, token) for token in tokens)
            await link.ask("contacts.tokens", SetTokens(hashes), type(None))
            identity.published_tokens = tokens
            self._shelf.save_identity()

    async def _give(self, link: Link) -> None:
        token = self._shelf.identity.contact_token
        if not token:
            return
        lacking = [account for account in self._shelf.contacts if self._of(account).given != token]
        unknown = [account for account in lacking if self._directory.known(account) is None]
        if unknown:
            await self._directory.fetch(link, unknown)
        for account in lacking:
            devices = self._directory.known(account)
            for device in devices.devices if devices is not None else ():
                self.send_box(account, device.key, ContactBody(token=token))
            known = self._of(account)
            self._shelf.save_token(R.Token(account, known.token, token))

    def _of(self, account: bytes) -> R.Token:
        return self._shelf.tokens.get(account) or R.Token(account)

    def got(self, account: bytes, token: bytes) -> None:
        """Somebody has sent us its token: kept, also before its Welcome came; of unknown accounts not too many."""
        if account in self._shelf.contacts or len(self._shelf.tokens) < TOKENS_MAX:
            self._shelf.save_token(R.Token(account, token, self._of(account).given))

    def invite(self) -> bytes:
        """A token to be handed out: who shows it is no stranger. Raises ``NotAllowed`` if there are too many."""
        identity = self._shelf.identity
        if len(identity.invite_tokens) >= CONTACT_TOKENS_MAX - 1:
            raise NotAllowed("too many invitations are open; a block of somebody withdraws all of them")
        token = self._shelf.entropy(CONTACT_TOKEN_BYTES)
        identity.invite_tokens += (token,)
        self._shelf.save_identity()
        self.nudge()
        return token

    # -- requests ------------------------------------------------------------------------------------------------------
    def requests(self) -> list[R.Conversation]:
        """Conversations that wait to be accepted."""
        return [talk for talk in self._shelf.conversations.values() if talk.request and talk.status == Status.ACTIVE]

    def joined(self, talk: R.Conversation, by: bytes, *, stranger: bool) -> None:
        """We are in a conversation for the first time."""
        if self.holds_requests and stranger and by not in self._shelf.contacts and by != self._shelf.account:
            talk.request = True
            self._shelf.save(talk)

    def accept(self, topic: bytes) -> None:
        """Let a request in; the other of a pair becomes a contact."""
        talk = self._shelf.conversations[topic]
        if not talk.request:
            return
        talk.request = False
        self._shelf.save(talk)
        peer = self._shelf.peer_of(talk)
        if peer is not None and peer not in self._shelf.contacts:
            self._shelf.save_contact(R.Contact(peer, peer.hex()[:8]))
            self.nudge()
        self.accepted(topic)

    def added(self, account: bytes) -> None:
        """Somebody became a contact: what they asked for is accepted."""
        if account in self._shelf.blocked:
            self._shelf.save_blocked(account, blocked=False)
        self.came(account)

    def came(self, account: bytes) -> None:
        """Somebody is a contact now, here or by the word of another device."""
        for talk in self.requests():
            if talk.kind == TopicKind.PAIR and self._shelf.peer_of(talk) == account:
                self.accept(talk.topic)
        self.nudge()

    # -- blocks --------------------------------------------------------------------------------------------------------
    def block(self, account: bytes) -> None:
        """Show nothing of an account and tell it nothing. Open invitations end, contacts get a new token."""
        if account == self._shelf.account:
            raise NotAllowed("you cannot block yourself")
        self._shelf.save_blocked(account, blocked=True)
        self._shelf.drop_contact(account)
        identity = self._shelf.identity
        identity.contact_token, identity.invite_tokens = self._shelf.entropy(CONTACT_TOKEN_BYTES), ()
        self._shelf.save_identity()
        self.nudge()
