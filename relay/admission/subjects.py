"""Whom the operator means: ``account:HEX``, ``device:HEX``, ``address:1.2.3.4`` (or a network), or a handle."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from protocol.limits import KEY_BYTES
from relay.admission.rules import ACCOUNT, ADDRESS, DEVICE
from storage.base import Accounts


class UnknownSubject(Exception):
    """Nobody is meant by this; the text says what can be written instead."""


@dataclass(frozen=True, slots=True)
class Subject:
    """``kind``: account, device or address; ``name``: hex, or the address or network in its one spelling."""

    kind: str
    name: str

    def covers(self, address: str) -> bool:
        """Whether a network address is meant."""
        try:
            return ipaddress.ip_address(address.partition("%")[0]) in ipaddress.ip_network(self.name)
        except ValueError:
            return address == self.name

    @property
    def key(self) -> bytes:
        """The account or device."""
        return bytes.fromhex(self.name)


def parse(text: str) -> Subject | None:
    """A subject that says itself what it is; None: it looks like a handle. Raises ``UnknownSubject``."""
    kind, colon, rest = text.strip().partition(":")
    if colon and kind in (ACCOUNT, DEVICE):
        return Subject(kind, _hex(rest))
    if colon and kind == ADDRESS:
        found = _network(rest)
        if found is None:
            raise UnknownSubject(f"{rest!r} is no network address, like 192.0.2.7 or 2001:db8::/64")
        return Subject(ADDRESS, found)
    found = _network(text)
    if found is not None:
        return Subject(ADDRESS, found)
    if len(text) == 2 * KEY_BYTES:
        raise UnknownSubject("write account:HEX or device:HEX, so that it is clear which of them is meant")
    return None


async def resolve(text: str, accounts: Accounts) -> Subject:
    """The same with handles looked up. Raises ``UnknownSubject``, ``storage.base.StoreAway``."""
    subject = parse(text)
    if subject is not None:
        return subject
    handle = text.strip().removeprefix("@").lower()
    account = await accounts.resolve_handle(handle)
    if account is None:
        raise UnknownSubject(
            f"nobody has the handle {handle!r}; write a handle, account:HEX, device:HEX or address:192.0.2.7"
        )
    return Subject(ACCOUNT, account.hex())


def _hex(text: str) -> str:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise UnknownSubject(f"an account or device is {2 * KEY_BYTES} hex digits, as `chappe admin who` prints them")
    return value.hex()


def _network(text: str) -> str | None:
    """One spelling: an address alone, or a network with its length."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)
