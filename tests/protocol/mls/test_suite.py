"""The suite layer against the official vectors and Wycheproof."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.mls import suite as crypto
from protocol.mls.errors import Invalid
from tests.protocol.mls.vector_table import check_file
from tests.support.vectors import load

unhex = bytes.fromhex


def wycheproof(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(group, test) for all tests of a file."""
    return [(group, test) for group in load(f"wycheproof/{name}")["testGroups"] for test in group["tests"]]


def test_official_vectors() -> None:
    check_file("crypto-basics.json", at_least=2)


def test_x25519_refuses_zero_and_agrees_on_the_rest() -> None:
    refused = agreed = 0
    for _, case in wycheproof("x25519_test.json"):
        private, public, shared = unhex(case["private"]), unhex(case["public"]), unhex(case["shared"])
        if shared == bytes(32):
            refused += 1
            with pytest.raises(Invalid, match="zero"):
                crypto.exchange(private, public)
            with pytest.raises(Invalid, match="small order"):
                crypto.check_public_key(public)
        else:
            agreed += 1
            assert crypto.exchange(private, public) == shared
            crypto.check_public_key(public)
    assert refused >= 20
    assert agreed >= 450


def test_x25519_sizes() -> None:
    for public in (b"", bytes(31), bytes(33)):
        with pytest.raises(Invalid, match="32 bytes"):
            crypto.exchange(bytes(32), public)
        with pytest.raises(Invalid, match="32 bytes"):
            crypto.check_public_key(public)


def test_ed25519() -> None:
    # `verify_with_label` puts a label in front, so plain messages are checked through the binding it uses.
    from nacl import bindings
    from nacl.exceptions import BadSignatureError

    verdicts = {"valid": 0, "invalid": 0}
    for group, case in wycheproof("ed25519_test.json"):
        public, signature = unhex(group["publicKey"]["pk"]), unhex(case["sig"])
        try:
            if len(signature) != crypto.SIGNATURE_BYTES:
                raise BadSignatureError
            bindings.crypto_sign_open(signature + unhex(case["msg"]), public)
            found = "valid"
        except BadSignatureError:
            found = "invalid"
        assert found == case["result"], case["tcId"]
        verdicts[found] += 1
    assert min(verdicts.values()) >= 60


def test_signatures_with_label() -> None:
    key = crypto.signing_key(bytes(range(32)))
    signature = crypto.sign_with_label(key, "Label", b"content")
    crypto.verify_with_label(crypto.public_of(key), "Label", b"content", signature)
    for label, content, given in (
        ("Other", b"content", signature),
        ("Label", b"contend", signature),
        ("Label", b"content", bytes(64)),
        ("Label", b"content", signature[:-1]),
        ("Label", b"content", signature + b"\x00"),
    ):
        with pytest.raises(Invalid, match=label):
            crypto.verify_with_label(crypto.public_of(key), label, content, given)
    with pytest.raises(Invalid, match="size"):
        crypto.verify_with_label(bytes(31), "Label", b"content", signature)


def test_small_order_signature_keys_verify_nothing() -> None:
    # With the neutral element as key, (R = neutral, S = 0) satisfies the equation for every message.
    neutral = b"\x01" + bytes(31)
    with pytest.raises(Invalid, match="verify"):
        crypto.verify_with_label(neutral, "Label", b"anything", neutral + bytes(32))


def test_seeds_have_one_size() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.signing_key(bytes(64))


@pytest.mark.parametrize(
    ("name", "suite", "at_least"), [("chacha20_poly1305_test.json", 3, 250), ("aes_gcm_test.json", 1, 40)]
)
def test_aeads(name: str, suite: int, at_least: int) -> None:
    chosen, run = crypto.SUITES[suite], 0
    for group, case in wycheproof(name):
        if (group["ivSize"], group["keySize"], group["tagSize"]) != (96, 8 * chosen.key_bytes, 128):
            continue
        run += 1
        key, nonce, ad = unhex(case["key"]), unhex(case["iv"]), unhex(case["aad"])
        sealed, plaintext = unhex(case["ct"] + case["tag"]), unhex(case["msg"])
        if case["result"] == "valid":
            assert chosen.aead(key).encrypt(nonce, plaintext, ad) == sealed
            assert crypto.open_aead(chosen, key, nonce, sealed, ad) == plaintext
        else:
            with pytest.raises(Invalid, match="authenticate"):
                crypto.open_aead(chosen, key, nonce, sealed, ad)
    assert run >= at_least


def test_hkdf() -> None:
    for _, case in wycheproof("hkdf_sha256_test.json"):
        prk = crypto.extract(unhex(case["salt"]), unhex(case["ikm"]))
        if case["result"] == "valid":
            assert crypto.expand(prk, unhex(case["info"]), case["size"]).hex() == case["okm"]
        else:
            with pytest.raises(ValueError, match="at most"):
                crypto.expand(prk, unhex(case["info"]), case["size"])


def test_hmac() -> None:
    for group, case in wycheproof("hmac_sha256_test.json"):
        tag = crypto.mac(unhex(case["key"]), unhex(case["msg"]))[: group["tagSize"] // 8]
        assert crypto.same(tag, unhex(case["tag"])) == (case["result"] == "valid")


def test_unknown_suites() -> None:
    assert crypto.suite_of(3).name.endswith("Ed25519")
    with pytest.raises(Invalid, match="suite 2 "):
        crypto.suite_of(2)
