"""What holds for whom: bans and bounds of single accounts in memory, written through to the store, and all meters.

Loaded once at the start; a relay is the only one that changes them (through ``relay.admission.admin``).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol import limits as L
from relay.admission.buckets import BURST_S, DAY_S, Kind, Meter, Meters, Rates, address_key
from relay.admission.gate import Gate
from relay.config import Settings
from storage.decisions import Admission, Ban, Quota

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ACCOUNT: Final = "account"
DEVICE: Final = "device"
ADDRESS: Final = "address"

#: Bounds that one account may have of its own, and what each means. The settings of the same name hold for the others.
QUOTAS: Final[dict[str, str]] = {
    "connections": "open connections",
    "subscriptions": "subscriptions of a connection",
    "inbox_entries": "unread entries of the inbox; beyond it posts get 507",
    "key_packages": "one-time key packages of a device",
    "topics_per_day": "conversations founded",
    "publishes_per_s": "stored messages of a device each second",
    "ephemerals_per_s": "ephemeral messages of a device each second",
    "requests_per_s": "requests of a device each second",
    "bytes_per_s": "bytes that a device sends each second",
}


_RATES_KEPT_MAX: Final = 1024  # sets of rates that are shared; accounts with bounds of their own are few


@dataclass(frozen=True, slots=True)
class RulesStatistics:
    """What is kept in memory."""

    bans: int
    quotas: int
    meters: int


class Rules:
    """Bans, bounds and meters of one relay. ``clock_ms`` is wall-clock time."""

    def __init__(self, settings: Settings, store: Admission, clock_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._store = store
        self._clock_ms = clock_ms
        self._bans: dict[tuple[str, str], Ban] = {}
        self._networks: dict[str, Network] = {}  # banned ones of more than one address
        self._bounds: dict[tuple[bytes, str], int] = {}
        self._devices = Meters(settings.meters_max)
        self._accounts = Meters(settings.meters_max)
        self._addresses = Meters(settings.meters_max)
        self._cut_off: OrderedDict[bytes, int] = OrderedDict()  # device → until when (monotonic ms)
        self._rates: dict[tuple[tuple[Kind, tuple[float, float]], ...], Rates] = {}  # sets of rates, shared

    def statistics(self) -> RulesStatistics:
        """Numbers now."""
        meters = len(self._devices) + len(self._accounts) + len(self._addresses)
        return RulesStatistics(len(self._bans), len(self._bounds), meters)

    async def load(self) -> None:
        """Read everything from the store. Raises ``StoreAway``."""
        for ban in await self._store.bans():
            self._remember(ban)
        self._bounds = {(quota.account, quota.name): quota.value for quota in await self._store.quotas()}

    # -- bans ----------------------------------------------------------------------------------------------------------
    async def ban(self, ban: Ban) -> None:
        """Keep a ban, then act on it. Raises ``OverflowError`` where there are too many, ``StoreAway``."""
        if len(self._bans) >= L.BANS_MAX and (ban.kind, ban.subject) not in self._bans:
            raise OverflowError(f"there are {L.BANS_MAX} bans already; lift some")
        await self._store.ban(ban)
        self._remember(ban)

    async def unban(self, kind: str, subject: str) -> bool:
        """Lift a ban; False: there was none. Raises ``StoreAway``."""
        known = await self._store.unban(kind, subject)
        self._bans.pop((kind, subject), None)
        self._networks.pop(subject, None)
        return known

    def _remember(self, ban: Ban) -> None:
        self._bans[ban.kind, ban.subject] = ban
        if ban.kind == ADDRESS and "/" in ban.subject:
            self._networks[ban.subject] = ipaddress.ip_network(ban.subject)

    def bans(self) -> list[Ban]:
        """Bans in force; those that are over are forgotten."""
        now_ms = self._clock_ms()
        for key, ban in list(self._bans.items()):
            if 0 < ban.until_ms <= now_ms:
                del self._bans[key]
                self._networks.pop(ban.subject, None)
        return list(self._bans.values())

    def banned(self, address: str, account: bytes | None = None, device: bytes | None = None) -> Ban | None:
        """The ban that keeps somebody out, if there is one."""
        if not self._bans:
            return None
        subjects = [(ADDRESS, address)]
        if account is not None:
            subjects.append((ACCOUNT, account.hex()))
        if device is not None:
            subjects.append((DEVICE, device.hex()))
        subjects += [(ADDRESS, name) for name in self._within(address)]
        for key in subjects:
            ban = self._bans.get(key)
            if ban is not None and not 0 < ban.until_ms <= self._clock_ms():
                return ban
        return None

    def _within(self, address: str) -> list[str]:
        if not self._networks:
            return []
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return []
        return [name for name, network in self._networks.items() if parsed in network]

    # -- bounds --------------------------------------------------------------------------------------------------------
    def bound(self, account: bytes, name: str) -> int:
        """A bound of ``QUOTAS`` as it holds for an account."""
        own = self._bounds.get((account, name))
        return self.default(name) if own is None else own

    def default(self, name: str) -> int:
        """A bound as it holds for accounts that have none of their own."""
        settings = self._settings
        others = {
            "connections": settings.connections_per_account_max, "subscriptions": settings.subscriptions_max,
            "inbox_entries": L.INBOX_ENTRIES_MAX, "key_packages": settings.key_packages_max,
        }  # fmt: skip
        return others[name] if name in others else int(getattr(settings, name))

    async def set_bound(self, account: bytes, name: str, value: int | None) -> bool:
        """Give an account a bound of its own, or (None) take it away. False: unknown account. Raises ``StoreAway``."""
        if not await self._store.set_quota(account, name, value):
            return False
        self._bounds.pop((account, name), None)
        if value is not None:
            self._bounds[account, name] = value
        self._accounts.forget(account)
        return True

    def bounds(self) -> list[Quota]:
        """All bounds of single accounts."""
        return [Quota(account, name, value) for (account, name), value in self._bounds.items()]

    # -- meters --------------------------------------------------------------------------------------------------------
    def gate(self, address: str) -> Gate:
        """The gate of a new connection."""
        return Gate(self._address(address))

    def admit(self, gate: Gate, account: bytes, device: bytes, *, anew: bool = False) -> None:
        """The login is decided, or (``anew``) the account's bounds have changed."""
        if anew:
            self._devices.forget(device)
        gate.known(
            self._devices.of(device, lambda: self._device_rates(account)),
            self._accounts.of(account, lambda: self._account_rates(account)),
        )

    def cut_off(self, device: bytes, now_ms: int) -> None:
        """A device flooded: it is not let in again for a while."""
        self._cut_off[device] = now_ms + L.FLOOD_RECONNECT_MS
        self._cut_off.move_to_end(device)
        if len(self._cut_off) > self._settings.meters_max:
            self._cut_off.popitem(last=False)

    def is_cut_off(self, device: bytes, now_ms: int) -> bool:
        """Whether that while is not over. Asked before anything is done for a login, so it costs next to nothing."""
        until_ms = self._cut_off.get(device)
        if until_ms is None or now_ms < until_ms:
            return until_ms is not None
        del self._cut_off[device]
        return False

    def may_connect(self, address: str, now_ms: int) -> bool:
        """Whether an address does not open connections too fast."""
        return not self._address(address).take(Kind.CONNECT, now_ms)

    def _address(self, address: str) -> Meter:
        return self._addresses.of(address_key(address), self._address_rates)

    def _per_s(self, account: bytes | None) -> dict[Kind, int]:
        def of(name: str) -> int:
            return self.default(name) if account is None else self.bound(account, name)

        return {
            Kind.PUBLISH: of("publishes_per_s"), Kind.EPHEMERAL: of("ephemerals_per_s"),
            Kind.REQUEST: of("requests_per_s"), Kind.BYTE: of("bytes_per_s"), Kind.OTHER: L.OTHERS_PER_S,
        }  # fmt: skip

    def _device_rates(self, account: bytes) -> Rates:
        rates = _rates(self._per_s(account), 1)
        return self._once({**rates, Kind.PATIENCE: (L.PATIENCE_PER_S, L.PATIENCE_REFUSALS)})

    def _once(self, rates: Rates) -> Rates:
        """The same rates as before, where somebody has them already: nearly all devices have the same."""
        key = tuple(rates.items())
        if len(self._rates) >= _RATES_KEPT_MAX:
            self._rates.clear()
        return self._rates.setdefault(key, rates)

    def _account_rates(self, account: bytes) -> Rates:
        founded = self.bound(account, "topics_per_day")
        rates = _rates(self._per_s(account), self._settings.account_share)
        return self._once({**rates, Kind.TOPIC: (founded / DAY_S, founded)})

    def _address_rates(self) -> Rates:
        per_s = self._settings.connects_per_s
        rates = _rates(self._per_s(None), self._settings.address_share)
        return {**rates, Kind.CONNECT: (per_s, BURST_S * per_s)}


def _rates(per_s: dict[Kind, int], share: int) -> Rates:
    return {kind: (share * rate, BURST_S * share * rate) for kind, rate in per_s.items()}
