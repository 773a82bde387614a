"""Typed parameters and results of REQ methods, and payloads of EVT. All positional, so no key can occur twice."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, Token, UInt

Handle: TypeAlias = Annotated[
    str, Meta(min_length=L.HANDLE_CHARS_MIN, max_length=L.HANDLE_CHARS_MAX, pattern=r"^[a-z0-9][a-z0-9_.-]*\Z")
]
Accounts: TypeAlias = Annotated[tuple[Key, ...], Meta(max_length=L.CLAIM_ACCOUNTS_MAX)]
SignedList: TypeAlias = Annotated[bytes, Meta(max_length=L.DEVICE_LIST_BYTES_MAX)]
KeyPackage: TypeAlias = Annotated[bytes, Meta(max_length=L.KEY_PACKAGE_BYTES_MAX)]


class Params(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of parameters and results."""


class PublishList(Params, frozen=True):
    """``devices.publish``: register an account (version 1) or move its device list on. Result: version (int).

    A relay may register by invitation only (403 without ``invite``, the token) or for a proof of work (428: detail says
    what to solve; ``proof`` is the solution, see ``puzzle``).
    """

    signed: SignedList
    invite: Token | None = None
    proof: UInt | None = None


class GetLists(Params, frozen=True):
    """``devices.get``: current signed device lists. Result: a list of bytes or nil, in order."""

    accounts: Accounts


class ClaimHandle(Params, frozen=True):
    """``handles.claim``: take a handle for the own account (one each; a new one frees the old). Result: nil."""

    handle: Handle


class GetHandle(Params, frozen=True):
    """``handles.get``: the account of a handle. Result: bytes. 404 if nobody has it."""

    handle: Handle


class PutKeyPackages(Params, frozen=True):
    """``keypackages.put``: one-time packages of this device, and its last-resort one. Result: count stored (int)."""

    packages: Annotated[tuple[KeyPackage, ...], Meta(max_length=L.KEY_PACKAGES_MAX)]
    last_resort: KeyPackage | None = None


class ClaimKeyPackages(Params, frozen=True):
    """``keypackages.claim``: one package per device of each account. Result: list of ClaimedPackage."""

    accounts: Accounts
    token: Token | None = None  # shows the claimer to be a contact


class ClaimedPackage(Params, frozen=True):
    """One claimed key package."""

    account: Key
    device: Key
    package: KeyPackage
    last_resort: bool


class PutBlob(Params, frozen=True):
    """``blobs.put``: store sealed bytes under their SHA-256. Result: nil."""

    hash: Key
    data: Annotated[bytes, Meta(max_length=L.BLOB_BYTES_MAX)]


class GetBlob(Params, frozen=True):
    """``blobs.get``: sealed bytes by hash. Result: bytes. 404 if unknown."""

    hash: Key


class GetHeads(Params, frozen=True):
    """``topics.heads``: heads of topics. Result: list of frames.SubResult (tid 0; code 404 where not yours)."""

    topics: Annotated[tuple[Key, ...], Meta(max_length=L.HEADS_TOPICS_MAX)]


class GetMembers(Params, frozen=True):
    """``topics.members``: the relay's access list. Result: list of (account, role)."""

    topic: Key


class Reserve(Params, frozen=True):
    """``topics.reserve``: keep the next commit for this device for 30 s. Result: until_ms (int)."""

    topic: Key


METHODS: Final[dict[str, type[Params]]] = {
    "devices.publish": PublishList,
    "devices.get": GetLists,
    "handles.claim": ClaimHandle,
    "handles.get": GetHandle,
    "keypackages.put": PutKeyPackages,
    "keypackages.claim": ClaimKeyPackages,
    "blobs.put": PutBlob,
    "blobs.get": GetBlob,
    "topics.heads": GetHeads,
    "topics.members": GetMembers,
    "topics.reserve": Reserve,
}


class LoginResult(Params, frozen=True):
    """In OK of a CONNECT."""

    registered: bool  # False: only devices.publish may follow
    list_version: UInt  # of the account's current list; 0 if not registered
    key_packages: UInt  # one-time packages left of this device
    now_ms: UInt


class DevicesChanged(Params, frozen=True):
    """EVT ``devices``: an account's list has a new version."""

    account: Key
    version: UInt


class KeyPackagesLow(Params, frozen=True):
    """EVT ``keypackages.low``: one-time packages left of this device."""

    left: UInt


EVENTS: Final[dict[str, type[Params]]] = {"devices": DevicesChanged, "keypackages.low": KeyPackagesLow}
