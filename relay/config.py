"""Settings of a relay: one frozen value, from a TOML file, then the environment, then the command line.

Every field carries its documentation, so ``check-config`` and ``OPERATING.md`` say the same. An unknown key is an error
that names the file, the line and the key that was probably meant: a setting that is silently ignored is worse than a
relay that does not start.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from protocol import limits as L
from protocol.identity import IdentityError, check_box_key

ENVIRONMENT_PREFIX: Final = "CHAPPE_RELAY_"
Setting = str | int | bool | tuple[str, ...]


class ConfigError(Exception):
    """A setting cannot be used; the text names where it stands and what to write instead."""


def _setting(
    default: Setting, doc: str, low: int | None = None, high: int | None = None, choices: tuple[str, ...] = ()
) -> Any:
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may change. Durations are milliseconds, sizes bytes."""

    data: str = _setting("chappe-data", "directory of the database and the cluster's id")
    host: str = _setting("127.0.0.1", "address that clients connect to; 0.0.0.0 for all")
    port: int = _setting(8790, "port that clients connect to; 0 takes a free one", 0, 65535)
    ops_host: str = _setting("127.0.0.1", "address of health and metrics; they have no login, keep it on loopback")
    ops_port: int = _setting(8791, "port of health and metrics; 0 takes a free one", 0, 65535)
    tls_certificate: str = _setting("", "PEM file of the certificate chain; empty: no TLS")
    tls_key: str = _setting("", "PEM file of the certificate's private key")
    behind_proxy: bool = _setting(False, "a proxy on this machine ends TLS: do not warn about plain connections")
    origins: tuple[str, ...] = _setting((), "web origins that may connect besides the relay's own host; '*' for all")
    redis_url: str = _setting("", "Redis that relays of a cluster announce entries through; empty: a single relay")

    connections_max: int = _setting(20_000, "open connections; further ones get HTTP 503", 1, 1_000_000)
    connections_per_address_max: int = _setting(512, "of them from one network address", 1, 1_000_000)
    subscriptions_max: int = _setting(L.SUBSCRIPTIONS_MAX, "subscriptions of a connection", 1, 100_000)
    inflight_pubs_max: int = _setting(L.INFLIGHT_PUBS_MAX, "PUBs of a connection that wait for a commit", 1, 100_000)
    requests_inflight_max: int = _setting(L.REQUESTS_INFLIGHT_MAX, "requests of a connection that wait", 1, 10_000)
    outbound_bytes_max: int = _setting(
        L.OUTBOUND_BYTES_MAX, "bytes waiting for a slow socket; beyond it history is read at its pace", 1 << 15, 1 << 26
    )
    ring_frames: int = _setting(L.RING_FRAMES, "recent entries kept in memory per topic in use", 1, 100_000)
    ring_bytes_max: int = _setting(L.RING_BYTES_MAX, "and at most this much of them", 1 << 12, 1 << 26)
    blob_quota_bytes: int = _setting(1 << 30, "bytes of files an account may have stored; 0: as the disk allows", 0)
    database_bytes_max: int = _setting(0, "size of the database; beyond it messages get 504; 0: as the disk allows", 0)

    publishes_per_s: int = _setting(L.PUBLISHES_PER_S, "stored messages a device may send each second", 1, 10_000_000)
    ephemerals_per_s: int = _setting(
        L.EPHEMERALS_PER_S, "ephemeral messages (typing and the like) of a device", 1, 10_000_000
    )
    requests_per_s: int = _setting(L.REQUESTS_PER_S, "requests and subscribe frames of a device", 1, 10_000_000)
    bytes_per_s: int = _setting(L.BYTES_PER_S, "bytes that a device may send", L.BYTES_PER_S_MIN, 1 << 34)
    account_share: int = _setting(L.ACCOUNT_SHARE, "an account may do what so many devices may", 1, 100_000)
    address_share: int = _setting(L.ADDRESS_SHARE, "and a network address what so many devices may", 1, 100_000)
    connects_per_s: int = _setting(L.CONNECTS_PER_S, "new connections from one network address", 1, 1_000_000)
    meters_max: int = _setting(10_000, "devices, accounts and addresses each whose rates are kept", 100, 10_000_000)
    connections_per_account_max: int = _setting(
        L.CONNECTIONS_PER_ACCOUNT, "open connections of one account", 1, 1_000_000
    )
    key_packages_max: int = _setting(L.KEY_PACKAGES_MAX, "one-time key packages of a device", 0, L.KEY_PACKAGES_MAX)
    topics_per_day: int = _setting(L.TOPICS_PER_DAY, "conversations that an account may found", 1, 1_000_000)
    registration: str = _setting(
        "open", "who may register: open, invite, proof-of-work (an invitation does as well) or closed",
        choices=("open", "invite", "proof-of-work", "closed"),
    )  # fmt: skip
    proof_bits: int = _setting(
        L.PROOF_BITS, "difficulty of the proof of work: 2 to this power hashes, 20 is about a second", 1,
        L.PROOF_BITS_MAX,
    )  # fmt: skip

    plane: str = _setting(
        "auto", "what moves bytes: epoll (Linux), trio (any platform, slower), or auto: the best that there is",
        choices=("auto", "epoll", "trio"),
    )  # fmt: skip
    report_key: str = _setting(
        "", "public key (64 hex digits) that reports are sealed to, as `chappe report key` prints it; empty: no reports"
    )

    handshake_ms: int = _setting(L.HANDSHAKE_MS, "TCP accept to websocket open", 100, 600_000)
    frame_ms: int = _setting(L.FRAME_MS, "a message that has begun may pause this long", 100, 600_000)
    stalled_ms: int = _setting(L.STALLED_MS, "a socket that takes nothing this long is closed", 1000, 600_000)
    drain_ms: int = _setting(L.DRAIN_MS, "SIGTERM to exit at the latest", 1000, 600_000)
    retention_ms: int = _setting(0, "bodies of messages older than this are removed; 0: kept for ever", 0)
    retention_every_ms: int = _setting(3_600_000, "how often retention runs", 1000, 86_400_000)
    log_level: str = _setting("info", "debug, info, warning or error", choices=("debug", "info", "warning", "error"))

    def insecure(self) -> tuple[str, ...]:
        """Sentences about settings that are dangerous in public; empty when there are none."""
        found = []
        if not _is_loopback(self.host) and not self.tls_certificate and not self.behind_proxy:
            found.append(
                f"clients connect to {self.host} without TLS: who listens on the network sees addresses, topics and "
                "times, and can cut connections; set tls_certificate and tls_key, or behind_proxy"
            )
        if not _is_loopback(self.ops_host):
            found.append(f"health and metrics on {self.ops_host} can be read by anyone who reaches it")
        if "*" in self.origins:
            found.append("origins = ['*'] lets every web page that a user visits connect from the user's browser")
        return tuple(found)

    def as_dict(self) -> dict[str, Setting]:
        """Every setting by name; passwords in URLs are hidden."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["redis_url"] = re.sub(r"(?<=:)[^:@/]+(?=@)", "***", self.redis_url)
        return values


FIELDS: Final = {item.name: item for item in dataclasses.fields(Settings)}


def load(
    file: Path | None = None, environment: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from ``file``, then ``environment`` (CHAPPE_RELAY_<KEY>), then ``overrides`` (None values are skipped).

    Raises ``ConfigError``.
    """
    values: dict[str, Setting] = {}
    if file is not None:
        values |= _from_file(file)
    for name, text in (environment or {}).items():
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            values[key] = _checked(key, _from_text(key, text, name), name)
    for key, value in (overrides or {}).items():
        if value is not None:
            values[key] = _checked(key, value, "command line")
    settings = Settings(**values)  # type: ignore[arg-type]
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError("tls_certificate and tls_key belong together: set both, or neither")
    _check_report_key(settings.report_key)
    return settings


def _check_report_key(text: str) -> None:
    key = text.lower()
    if text and (len(key) != 2 * L.KEY_BYTES or not set(key) <= set("0123456789abcdef")):
        raise ConfigError(f"'report_key' is a key of {2 * L.KEY_BYTES} hex digits, as `chappe report key` prints it")
    try:
        if text:
            check_box_key(bytes.fromhex(key))
    except IdentityError:
        raise ConfigError("'report_key': nothing can be sealed to it; take what `chappe report key` prints") from None


def _from_file(file: Path) -> dict[str, Setting]:
    try:
        text = file.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    values = {}
    for key, value in table.items():
        where = f"{file}:{_line_of(text, key)}"
        values[key] = _checked(key, tuple(value) if isinstance(value, list) else value, where)
    return values


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"""\s*\[?\s*["']?{re.escape(key)}\b""", line):
            return number
    return 1


def _known(key: str, where: str) -> Any:
    item = FIELDS.get(key)
    if item is None:
        near = difflib.get_close_matches(key, FIELDS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "; `chappe check-config` lists all settings"
        raise ConfigError(f"{where}: unknown setting '{key}'{hint}")
    return item


def _from_text(key: str, text: str, where: str) -> Setting:
    default = _known(key, where).default
    if isinstance(default, bool):
        value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
        if value is None:
            raise ConfigError(f"{where}: '{key}' is true or false, not '{text}'")
        return value
    if isinstance(default, int):
        try:
            return int(text.replace("_", ""))
        except ValueError:
            raise ConfigError(f"{where}: '{key}' is a whole number, not '{text}'") from None
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _checked(key: str, value: Any, where: str) -> Setting:
    item = _known(key, where)
    if type(value) is not type(item.default):
        names = {bool: "true or false", int: "a whole number", str: "a text", tuple: "a list of texts"}
        raise ConfigError(f"{where}: '{key}' is {names[type(item.default)]}, not {value!r}")
    if isinstance(value, tuple) and not all(isinstance(part, str) for part in value):
        raise ConfigError(f"{where}: '{key}' is a list of texts")
    low, high = item.metadata["low"], item.metadata["high"]
    if isinstance(value, int) and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = f"between {low} and {high}" if high is not None else f"at least {low}"
        raise ConfigError(f"{where}: '{key}' must be {bounds}, not {value}")
    choices = item.metadata["choices"]
    if choices and value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"{where}: '{key}' is {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}{hint}")
    return value  # type: ignore[no-any-return]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
