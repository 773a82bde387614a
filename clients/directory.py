"""Who has which devices: device lists as they were verified, and what casts doubt on a device.

The relay hands lists out; it is not believed. A list counts when its signature is right and it follows the one known
before. The first list of an account is trusted on first use, until people compare safety numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

from clients import records as R
from clients.commits import identity_of, split
from clients.connection import Link
from clients.events import KeyChanged
from clients.shelf import Shelf
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.identity import DeviceList, IdentityError, is_expired, verify_list
from protocol.limits import CLAIM_ACCOUNTS_MAX
from protocol.mls import MlsError, parse_key_package
from protocol.requests import ClaimedPackage, ClaimKeyPackages, GetLists


class CannotAdd(ChappeError):
    """Somebody cannot be added to a conversation; the text says who and why."""


class Directory:
    """Device lists of everybody this client deals with."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def known(self, account: bytes) -> DeviceList | None:
        """The newest verified list of an account."""
        return self._shelf.lists.get(account)

    def learn(self, account: bytes, signed: bytes) -> DeviceList | None:
        """Check a list from the relay; keep it if it is newer. None, and an event, if it cannot be accepted."""
        previous = self._shelf.lists.get(account)
        if previous is not None and signed == self._shelf.signed_list(account):
            return previous  # these very bytes were checked before
        try:
            devices = verify_list(signed, previous, account=account)
        except (IdentityError, RemoteProtocolError) as error:
            self._tell(account, f"the relay showed a device list that cannot be accepted: {error}")
            return None
        if previous is None or devices.version > previous.version:
            self._shelf.save_list(devices, signed)
            if previous is not None:
                self._compare(previous, devices)
        return devices

    def _compare(self, previous: DeviceList, devices: DeviceList) -> None:
        contact = self._shelf.contacts.get(devices.account)
        keys, before = {d.key for d in devices.devices}, {d.key for d in previous.devices}
        if devices.recovered and keys and (not previous.recovered or not keys & before):  # or recovered once more
            self._tell(devices.account, "this account was recovered with its recovery key; compare safety numbers")
            if contact is not None and contact.verified:
                contact.verified, contact.changed = False, True
                self._shelf.save_contact(contact)
        elif keys != before:
            self._tell(devices.account, f"devices changed (version {devices.version})")

    def _tell(self, account: bytes, text: str) -> None:
        self._shelf.journal.tell(KeyChanged(topic=account, text=text))

    async def fetch(self, link: Link, accounts: Iterable[bytes]) -> None:
        """Ask the relay for the current lists of accounts. Raises ``LinkDown`` or ``Refusal``."""
        wanted = sorted(set(accounts))
        for start in range(0, len(wanted), CLAIM_ACCOUNTS_MAX):
            part = wanted[start : start + CLAIM_ACCOUNTS_MAX]
            found = await link.ask("devices.get", GetLists(tuple(part)), list[bytes | None])
            for account, signed in zip(part, found, strict=False):
                if signed is not None:
                    self.learn(account, signed)

    # -- judging -------------------------------------------------------------------------------------------------------
    def doubt(self, account: bytes, device: bytes) -> str:
        """Why a device deserves doubt; empty if it does not."""
        devices = self.known(account)
        if devices is None:
            return "no device list of this account is known"
        if devices.device(device) is None:
            return "this device is not on its account's list"
        return self.ran_out(account)

    def ran_out(self, account: bytes) -> str:
        """Doubt about all devices of an account whose list has run out since they were judged."""
        devices = self.known(account)
        expired = devices is not None and is_expired(devices, self._shelf.clock_ms())
        return "the device list of this account has run out" if expired else ""

    async def judge(self, link: Link, topic: bytes) -> None:
        """Look at every device of a group; fetch lists where one is unknown, and note what stays doubtful."""
        group, talk = self._shelf.groups.get(topic), self._shelf.conversations[topic]
        if group is None:  # whom we may ask to let us in again
            await self.fetch(link, [account for account in talk.roster if self.known(account) is None])
            return
        identities = [split(member.identity) for member in group.members]
        open_questions = [(account, device) for account, device in identities if self.doubt(account, device)]
        if open_questions:
            await self.fetch(link, {account for account, _ in open_questions})
        for account, device in identities:
            text = self.doubt(account, device)
            before = self._shelf.doubts.pop((account, device), "")
            if text:
                self._shelf.doubts[account, device] = text
                if text != before:
                    self._tell(account, text)

    # -- key packages --------------------------------------------------------------------------------------------------
    async def claim(
        self, link: Link, accounts: Iterable[bytes], devices: tuple[bytes, ...] = ()
    ) -> tuple[R.Addition, ...]:
        """One checked key package for each device of each account; only for ``devices`` if some are named.

        Raises ``CannotAdd`` if an account is unknown, its list has run out, or no package of it can be used.
        """
        wanted = tuple(sorted(set(accounts)))
        await self.fetch(link, wanted)
        for account in wanted:
            listed = self.known(account)
            if listed is None:
                raise CannotAdd(f"nobody with account {account.hex()[:16]}… is known to this relay")
            if is_expired(listed, self._shelf.clock_ms()):
                raise CannotAdd(f"the device list of {account.hex()[:16]}… has run out; they must log in first")
        tokens = tuple((account, token) for account in wanted if (token := self._shelf.token_of(account)) is not None)
        params = ClaimKeyPackages(wanted, tokens, devices)
        claimed = await link.ask("keypackages.claim", params, list[ClaimedPackage])
        additions = tuple(R.Addition(c.account, c.device, c.package) for c in claimed if self._usable(c, wanted))
        for account in wanted:
            if not any(addition.account == account for addition in additions):
                raise CannotAdd(f"{account.hex()[:16]}… has no key package to be added with; they must log in first")
        return additions

    def _usable(self, claimed: ClaimedPackage, wanted: tuple[bytes, ...]) -> bool:
        try:
            info = parse_key_package(claimed.package, self._shelf.clock_ms() // 1000)
        except MlsError:
            return False
        return (
            claimed.account in wanted
            and info.identity == identity_of(claimed.account, claimed.device)
            and info.signature_key == claimed.device
            and not self.doubt(claimed.account, claimed.device)
        )
