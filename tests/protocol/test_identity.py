"""Who may sign what: device lists, logins, safety numbers; and that no signature is worth anything elsewhere."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from nacl import bindings as sodium

from protocol import identity
from protocol.codec import encode_struct
from protocol.errors import RemoteProtocolError
from protocol.identity import Device, DeviceList, IdentityError, SigningKey, sign_list, verify_list
from protocol.limits import CLOCK_SKEW_MS_MAX, DEVICE_LIST_LIFE_MS, DEVICES_MAX, INT_MAX
from tests.protocol.bad_keys import BAD_KEYS, SMALL_X25519, mixed_order
from tests.protocol.samples import CLUSTER, NONCES, filler


def key(name: str) -> SigningKey:
    return SigningKey(filler(name, 32))


ROOT, RECOVERY, THIEF = key("root"), key("recovery"), key("thief")
PHONE, LAPTOP, TABLET = key("phone"), key("laptop"), key("tablet")
DAY = 86_400_000
NOW = 20_000 * DAY


def device(of: SigningKey, **changes: Any) -> Device:
    inbox = sodium.crypto_scalarmult_base(filler(of.public.hex(), 32))
    return msgspec.structs.replace(Device(of.public, inbox, NOW - DAY, of is PHONE), **changes)


ALL = (device(PHONE), device(LAPTOP), device(TABLET))
FIFTH = DeviceList(ROOT.public, 5, NOW, NOW + DEVICE_LIST_LIFE_MS, ALL, RECOVERY.public)
SIGNED = sign_list(FIFTH, ROOT)


def after(version: int = 6, base: DeviceList = FIFTH, **changes: Any) -> DeviceList:
    return msgspec.structs.replace(base, version=version, created_ms=base.created_ms + 1000, **changes)


def without(*keys: SigningKey, base: DeviceList = FIFTH, version: int = 6, **changes: Any) -> DeviceList:
    gone = {one.public for one in keys}
    left = tuple(one for one in base.devices if one.key not in gone)
    return after(version, base, devices=left, **changes)


# -- keys -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", BAD_KEYS, ids=lambda bad: bad.hex()[:8] or "empty")
def test_bad_keys_are_refused_wherever_one_can_stand(bad: bytes) -> None:
    with pytest.raises(IdentityError, match="not a valid Ed25519 public key"):
        identity.check_key(bad)
    assert not identity.verify(bad, b"d\0", b"m", bytes(64))
    for changes in ({"devices": (device(PHONE, key=bad),)}, {"recovery": bad}):
        if not bad and "recovery" in changes:
            continue  # empty: no recovery key
        with pytest.raises((IdentityError, RemoteProtocolError)):
            verify_list(sign_list(after(**changes), ROOT))


def test_an_account_that_is_a_bad_key() -> None:
    forged = msgspec.structs.replace(FIFTH, account=mixed_order())
    with pytest.raises(IdentityError, match="not a valid Ed25519 public key"):
        verify_list(sign_list(forged, ROOT))


def test_good_keys_pass() -> None:
    for one in (ROOT, RECOVERY, PHONE):
        identity.check_key(one.public)


@pytest.mark.parametrize("inbox", SMALL_X25519, ids=lambda inbox: inbox.hex()[:8])
def test_an_inbox_key_that_nobody_can_seal_to(inbox: bytes) -> None:
    with pytest.raises(IdentityError, match="key for boxes"):
        verify_list(sign_list(after(devices=(device(PHONE, inbox_key=inbox),)), ROOT))


def test_the_seed_never_shows() -> None:
    for text in (repr(ROOT), str(ROOT), f"{ROOT}"):
        assert ROOT.public.hex()[:16] in text
        assert ROOT.seed.hex() not in text
        assert repr(ROOT.seed) not in text


# -- the first list seen ----------------------------------------------------------------------------------------------
RECOVERED = after(recovered=True)
LOST_TABLET = without(TABLET)


@pytest.mark.parametrize(
    ("signed", "devices"),
    [
        (SIGNED, FIFTH),
        (sign_list(RECOVERED, RECOVERY), RECOVERED),
        (sign_list(LOST_TABLET, LAPTOP, SIGNED), LOST_TABLET),
        (sign_list(LOST_TABLET, TABLET, SIGNED), LOST_TABLET),  # a device takes its leave
        (sign_list(after(devices=()), LAPTOP, SIGNED), after(devices=())),
        (sign_list(FIFTH, ROOT, SIGNED), FIFTH),  # a basis that nobody needs
    ],
)
def test_a_stranger_accepts(signed: bytes, devices: DeviceList) -> None:
    assert verify_list(signed) == devices
    assert verify_list(signed, account=ROOT.public) == devices


@pytest.mark.parametrize(
    ("signed", "text"),
    [
        (sign_list(FIFTH, THIEF), "neither by the root key"),
        (sign_list(FIFTH, LAPTOP), "without the list it shortens"),
        (sign_list(FIFTH, RECOVERY), "without the list it shortens"),  # not recovered: the root signs
        (sign_list(RECOVERED, ROOT), "without the list it shortens"),  # recovered: the root no longer
        (sign_list(after(recovered=True, recovery=b""), ROOT), "without the list it shortens"),
        (sign_list(LOST_TABLET, LAPTOP), "without the list it shortens"),
        (sign_list(LOST_TABLET, THIEF, SIGNED), "nor a listed device"),
        (sign_list(LOST_TABLET, LAPTOP, sign_list(FIFTH, LAPTOP)), "must be signed by the root"),
        (sign_list(LOST_TABLET, LAPTOP, sign_list(FIFTH, THIEF)), "must be signed by the root"),
        (sign_list(after(), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(without(TABLET, expires_ms=FIFTH.expires_ms - 1), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(without(TABLET, service=True), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(without(TABLET, recovery=THIEF.public), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(after(devices=(device(PHONE), device(THIEF))), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(after(devices=(device(LAPTOP, primary=True),)), LAPTOP, SIGNED), "may only revoke"),
        (sign_list(without(TABLET, version=5), LAPTOP, SIGNED), "next version"),
        (sign_list(without(TABLET, version=4), LAPTOP, SIGNED), "next version"),
        (sign_list(without(TABLET, version=7), LAPTOP, SIGNED), "next version"),
        (sign_list(without(TABLET, version=INT_MAX), LAPTOP, SIGNED), "next version"),
    ],
)
def test_a_stranger_refuses(signed: bytes, text: str) -> None:
    with pytest.raises(IdentityError, match=text):
        verify_list(signed)


def test_a_revocation_of_another_account_does_not_count() -> None:
    theirs = sign_list(msgspec.structs.replace(FIFTH, account=THIEF.public), THIEF)
    with pytest.raises(IdentityError, match="may only revoke"):
        verify_list(sign_list(LOST_TABLET, LAPTOP, theirs))


@pytest.mark.parametrize("account", [THIEF.public, b"", bytes(32)])
def test_the_list_of_another_account(account: bytes) -> None:
    with pytest.raises(IdentityError, match="another account"):
        verify_list(SIGNED, account=account)


# -- the next list ----------------------------------------------------------------------------------------------------
BY_LAPTOP = sign_list(LOST_TABLET, LAPTOP, SIGNED)
ONLY_PHONE = without(LAPTOP, base=LOST_TABLET, version=7)
SEVENTH = after(7)
EIGHTH = without(PHONE, base=SEVENTH, version=8)


@pytest.mark.parametrize(
    ("signed", "previous"),
    [
        (SIGNED, FIFTH),  # again
        (BY_LAPTOP, LOST_TABLET),  # again, signed by a device
        (sign_list(LOST_TABLET, TABLET, SIGNED), LOST_TABLET),  # again, by the device that left
        (sign_list(SEVENTH, ROOT), FIFTH),  # a version was missed
        (sign_list(after(devices=()), ROOT), FIFTH),
        (BY_LAPTOP, FIFTH),
        (sign_list(ONLY_PHONE, PHONE, BY_LAPTOP), LOST_TABLET),  # the basis is the root's, two versions before
        (sign_list(ONLY_PHONE, PHONE, BY_LAPTOP), FIFTH),
        (sign_list(EIGHTH, LAPTOP, sign_list(SEVENTH, ROOT)), FIFTH),  # the basis is newer than what is known
        (sign_list(RECOVERED, RECOVERY), FIFTH),
        (sign_list(after(7, RECOVERED), RECOVERY), RECOVERED),
        (sign_list(without(TABLET, base=RECOVERED, version=7), PHONE, sign_list(RECOVERED, RECOVERY)), RECOVERED),
        (sign_list(after(service=True), ROOT), FIFTH),
    ],
)
def test_the_next_list_is_accepted(signed: bytes, previous: DeviceList) -> None:
    assert verify_list(signed, previous).version >= previous.version


NEWCOMER = after(devices=(*ALL, device(THIEF)))


@pytest.mark.parametrize(
    ("signed", "previous", "text"),
    [
        (sign_list(after(4), ROOT), FIFTH, "version 4 is older than version 5"),
        (sign_list(after(5), ROOT), FIFTH, "two different lists claim version 5"),
        (sign_list(FIFTH, THIEF), FIFTH, "without the list it shortens"),  # the same content, by a stranger
        (sign_list(FIFTH, LAPTOP), FIFTH, "without the list it shortens"),
        (sign_list(FIFTH, LAPTOP, SIGNED), FIFTH, "may only revoke"),
        (sign_list(NEWCOMER, LAPTOP, SIGNED), FIFTH, "may only revoke"),
        (sign_list(NEWCOMER, THIEF, SIGNED), FIFTH, "nor a listed device"),
        (sign_list(after(recovery=THIEF.public), ROOT), FIFTH, "fixed by version 1"),
        (sign_list(after(recovery=THIEF.public, recovered=True), THIEF), FIFTH, "fixed by version 1"),
        (sign_list(after(7), ROOT), RECOVERED, "old root key no longer counts"),
        (sign_list(after(7, RECOVERED), ROOT), RECOVERED, "without the list it shortens"),
        (sign_list(msgspec.structs.replace(FIFTH, account=THIEF.public), THIEF), FIFTH, "another account"),
        # A device that was revoked signs for readers who know of it, on the basis from before.
        (sign_list(without(PHONE, LAPTOP, version=7), TABLET, SIGNED), LOST_TABLET, "nor a listed device"),
        # It brings back what was revoked: fewer than the basis, but not than what is known.
        (sign_list(without(PHONE, LAPTOP, version=7), LAPTOP, SIGNED), LOST_TABLET, "may only revoke"),
        # The basis contradicts what is known: a second history.
        (sign_list(without(PHONE, version=7), LAPTOP, sign_list(after(), ROOT)), LOST_TABLET, "two different lists"),
        # The old root goes on as if nothing had been recovered.
        (sign_list(EIGHTH, LAPTOP, sign_list(SEVENTH, ROOT)), RECOVERED, "old root key no longer counts"),
    ],
)
def test_the_next_list_is_refused(signed: bytes, previous: DeviceList, text: str) -> None:
    with pytest.raises(IdentityError, match=text):
        verify_list(signed, previous)


# -- form -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"expires_ms": NOW + 1000 + DEVICE_LIST_LIFE_MS + 1}, "at most 30 days"),
        ({"expires_ms": NOW + 1000}, "at most 30 days"),
        ({"expires_ms": 0}, "at most 30 days"),
        ({"devices": (device(PHONE), device(PHONE, primary=False))}, "listed twice"),
    ],
)
def test_form_of_a_list(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(IdentityError, match=text):
        verify_list(sign_list(after(**changes), ROOT))


@pytest.mark.parametrize("life", [1, DEVICE_LIST_LIFE_MS])
def test_shortest_and_longest_life(life: int) -> None:
    devices = msgspec.structs.replace(FIFTH, expires_ms=NOW + life)
    assert verify_list(sign_list(devices, ROOT)) == devices
    assert not identity.is_expired(devices, NOW + life - 1)
    assert identity.is_expired(devices, NOW + life)


def test_a_list_from_the_future_would_outlive_its_days() -> None:
    assert not identity.is_premature(FIFTH, NOW - CLOCK_SKEW_MS_MAX)
    assert identity.is_premature(FIFTH, NOW - CLOCK_SKEW_MS_MAX - 1)


def test_open_a_stored_list_without_judging_it() -> None:
    assert identity.open_signed(SIGNED) == FIFTH
    assert identity.open_signed(sign_list(FIFTH, THIEF)) == FIFTH
    with pytest.raises(RemoteProtocolError):
        identity.open_signed(b"nonsense")


def test_find_a_device() -> None:
    assert FIFTH.device(LAPTOP.public) == device(LAPTOP)
    assert FIFTH.device(THIEF.public) is None


def outer(*fields: Any) -> bytes:
    packed: bytes = msgpack.packb(list(fields))
    return packed


BODY = encode_struct(FIFTH)
SIGNATURE = ROOT.sign(b"chappe/v1/device-list\0", BODY)


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"\xc0",
        BODY,
        outer(BODY, ROOT.public),
        outer(BODY, ROOT.public[:31], SIGNATURE),
        outer(BODY, ROOT.public, SIGNATURE[:63]),
        outer(BODY, ROOT.public, SIGNATURE) + b"\0",
        outer(bytes(16 * 1024 + 1), ROOT.public, SIGNATURE),
    ],
)
def test_no_signed_list_at_all(signed: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        verify_list(signed)
    assert not caught.value.fatal


@pytest.mark.parametrize(
    "body",
    [
        b"",
        msgpack.packb([ROOT.public, 0, 0, 1, []]),
        msgpack.packb([ROOT.public, 2**53, 0, 1, []]),
        msgpack.packb([ROOT.public, 1, 0, 1, [[PHONE.public, bytes(32), 0]]]),
        msgpack.packb([ROOT.public, 1, 0, 1, [[bytes(32), bytes(32), 0, True]] * (DEVICES_MAX + 1)]),
        msgpack.packb([ROOT.public, 1, 0, 1, [], bytes(33)]),
    ],
)
def test_signed_but_no_list(body: bytes) -> None:
    signature = ROOT.sign(b"chappe/v1/device-list\0", body)
    with pytest.raises(RemoteProtocolError, match="not a DeviceList"):
        verify_list(outer(body, ROOT.public, signature))


@pytest.mark.parametrize("place", [0, 10, len(BODY) - 1])
def test_a_changed_byte_breaks_the_signature(place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    with pytest.raises(IdentityError, match="does not verify"):
        verify_list(outer(changed, ROOT.public, SIGNATURE))


def test_a_signature_that_is_not_canonical() -> None:
    """S + L verifies in careless implementations: two signatures of one message would be two ids."""
    order = 2**252 + 27742317777372353535851937790883648493
    large = (int.from_bytes(SIGNATURE[32:], "little") + order).to_bytes(32, "little")
    assert not identity.verify(ROOT.public, b"chappe/v1/device-list\0", BODY, SIGNATURE[:32] + large)


def test_signatures_are_over_received_bytes() -> None:
    """A newer version may add fields: the older one verifies what came, not what it would have written."""
    body = msgpack.packb([*msgpack.unpackb(BODY), "a field of tomorrow"])
    signature = ROOT.sign(b"chappe/v1/device-list\0", body)
    assert verify_list(outer(body, ROOT.public, signature)) == FIFTH
    assert verify_list(outer(body, ROOT.public, signature, b"", "tomorrow's too")) == FIFTH


def test_a_basis_that_is_no_list_is_a_mistake() -> None:
    with pytest.raises(RemoteProtocolError):
        sign_list(LOST_TABLET, LAPTOP, b"nonsense")


# -- login ------------------------------------------------------------------------------------------------------------
LOGIN: dict[str, Any] = {
    "cluster": CLUSTER, "relay_nonce": NONCES[0], "client_nonce": NONCES[1], "version": 1, "account": ROOT.public,
    "device": PHONE.public,
}  # fmt: skip


@pytest.mark.parametrize("field", LOGIN)
def test_a_login_is_bound_to_every_field(field: str) -> None:
    message = identity.challenge(**LOGIN)
    signature = identity.sign_challenge(PHONE, message)
    assert identity.verify_challenge(PHONE.public, message, signature)
    value = LOGIN[field]
    changed = identity.challenge(**{**LOGIN, field: value + 1 if field == "version" else filler("x", len(value))})
    assert not identity.verify_challenge(PHONE.public, changed, signature)


def test_bytes_cannot_move_between_cluster_and_nonce() -> None:
    one = identity.challenge(**{**LOGIN, "cluster": CLUSTER + NONCES[0][:1], "relay_nonce": NONCES[0][1:]})
    assert one != identity.challenge(**LOGIN)


def test_challenge_by_hand() -> None:
    assert msgpack.unpackb(identity.challenge(**LOGIN)) == list(LOGIN.values())
    signature = sodium.crypto_sign(b"chappe/v1/login\0" + msgpack.packb(list(LOGIN.values())), PHONE._secret)[:64]
    assert identity.verify_challenge(PHONE.public, identity.challenge(**LOGIN), signature)


@pytest.mark.parametrize(
    ("signer", "signature"),
    [
        (LAPTOP.public, identity.sign_challenge(PHONE, identity.challenge(**LOGIN))),
        (PHONE.public, b""),
        (PHONE.public, bytes(64)),
        (PHONE.public, identity.sign_challenge(PHONE, identity.challenge(**LOGIN)) + b"\0"),
        (b"", bytes(64)),
        (bytes(32), bytes(64)),
    ],
)
def test_no_login(signer: bytes, signature: bytes) -> None:
    assert not identity.verify_challenge(signer, identity.challenge(**LOGIN), signature)


# -- one signature, one use -------------------------------------------------------------------------------------------
def test_a_list_signature_is_no_login_and_a_login_no_list() -> None:
    body = encode_struct(FIFTH)
    assert not identity.verify_challenge(ROOT.public, body, ROOT.sign(b"chappe/v1/device-list\0", body))
    login = identity.sign_challenge(ROOT, body)  # somebody has the root key sign a list as if it were a challenge
    with pytest.raises(IdentityError, match="does not verify"):
        verify_list(outer(body, ROOT.public, login))


def test_no_domain_is_the_start_of_another_or_of_what_mls_signs() -> None:
    domains = [identity._LIST, identity._LOGIN]
    mls = bytes([len("MLS 1.0 FramedContentTBS")]) + b"MLS 1.0 FramedContentTBS"  # RFC 9420 section 5.1.2
    for one in domains:
        assert one.endswith(b"\0")
        assert one.count(b"\0") == 1
        assert not any(one.startswith(other) for other in [*domains, mls] if other is not one)
        assert not mls.startswith(one)


# -- safety numbers ---------------------------------------------------------------------------------------------------
def test_a_safety_number_is_twelve_groups_of_five_digits() -> None:
    groups = identity.safety_number(ROOT.public, THIEF.public).split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert "".join(groups).isdecimal()


def test_both_people_see_the_same_number_and_no_others_do() -> None:
    number = identity.safety_number(ROOT.public, THIEF.public)
    assert number == identity.safety_number(THIEF.public, ROOT.public)
    assert number != identity.safety_number(ROOT.public, PHONE.public)
    # Each account has its half: who has verified it once can know it again.
    halves = {number[:35], number[36:]}
    other = identity.safety_number(ROOT.public, PHONE.public)
    assert len(halves & {other[:35], other[36:]}) == 1
