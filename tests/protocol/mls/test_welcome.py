"""Welcome, GroupInfo and GroupSecrets (RFC 9420 section 12.4.3)."""

from __future__ import annotations

import pytest

from protocol.mls import hpke, nodes, schedule, welcome
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, vec
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.schedule import PSK_EXTERNAL, GroupContext, PskId
from protocol.mls.welcome import GroupSecrets
from tests.protocol.mls.test_nodes import KEY, key_package_bytes
from tests.protocol.mls.vector_checks import deterministic
from tests.protocol.mls.vector_table import check_file

SUITE = crypto.SUITES[3]
INIT_PRIVATE, INIT_PUBLIC = hpke.derive_key_pair(b"init")
CONTEXT = GroupContext(3, b"group", 1, b"t" * 32, b"c" * 32, ())
INFO = welcome.sign_group_info(CONTEXT.encode(), ((0xF0C5, b"anchor"),), b"tag", 4, KEY)
PSK = PskId(PSK_EXTERNAL, b"n" * 32, b"id")


def package() -> nodes.KeyPackage:
    data = key_package_bytes().replace(b"i" * 32, INIT_PUBLIC)
    return parse_exact(data, nodes.parse_key_package)


def sealed(path_secret: bytes | None = b"p" * 32) -> bytes:
    newcomers = [(package(), path_secret)]
    secret = schedule.welcome_secret(b"j" * 32, b"k" * 32)
    return welcome.seal_welcome(SUITE, INFO, secret, b"j" * 32, newcomers, (PSK,), deterministic("welcome"))


def test_official_vectors() -> None:
    check_file("welcome.json", at_least=2)


@pytest.mark.parametrize("path_secret", [None, b"p" * 32])
def test_round_trip(path_secret: bytes | None) -> None:
    data = sealed(path_secret)
    parsed = welcome.parse_welcome(data)
    assert parsed.encode() == data
    secrets = welcome.open_group_secrets(SUITE, parsed, package().ref, INIT_PRIVATE)
    assert secrets == GroupSecrets(b"j" * 32, path_secret, (PSK,))
    info = welcome.open_group_info(SUITE, parsed, secrets.joiner_secret, b"k" * 32)
    assert (info.context, info.extensions, info.confirmation_tag, info.signer) == (
        CONTEXT,
        ((0xF0C5, b"anchor"),),
        b"tag",
        4,
    )
    info.verify(crypto.public_of(KEY))
    assert info.encode() == INFO
    with pytest.raises(Invalid, match="GroupInfoTBS"):
        info.verify(crypto.public_of(crypto.signing_key(b"x" * 32)))


def test_12_4_3_1_for_another_key_package() -> None:
    parsed = welcome.parse_welcome(sealed())
    with pytest.raises(Invalid, match=r"12\.4\.3\.1"):
        welcome.open_group_secrets(SUITE, parsed, b"r" * 32, INIT_PRIVATE)


def test_12_4_3_1_secrets_are_bound_to_the_group_info() -> None:
    parsed = welcome.parse_welcome(sealed())
    altered = welcome.Welcome(3, parsed.secrets, parsed.encrypted_group_info[:-1] + b"x")
    with pytest.raises(Invalid, match="authenticate"):
        welcome.open_group_secrets(SUITE, altered, package().ref, INIT_PRIVATE)
    with pytest.raises(Invalid, match="authenticate"):
        welcome.open_group_info(SUITE, parsed, b"other" * 6, b"k" * 32)


def test_other_messages_are_not_welcomes() -> None:
    data = sealed()
    with pytest.raises(DecodeError, match="not a Welcome"):
        welcome.parse_welcome(data[:3] + b"\x05" + data[4:])
    with pytest.raises(DecodeError, match="left over"):
        welcome.parse_welcome(data + b"x")
    with pytest.raises(DecodeError):
        parse_exact(vec(b"j") + b"\x02", welcome.parse_group_secrets)
