"""HPKE against RFC 9180 appendix A, base mode, the suites with X25519, SHA-256 and our AEADs."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.mls import hpke
from protocol.mls.errors import Invalid
from protocol.mls.suite import SUITES, Suite
from tests.support.vectors import load

unhex = bytes.fromhex
BY_AEAD = {suite.hpke_aead_id: suite for suite in SUITES.values()}


def base_sections() -> list[tuple[Suite, dict[str, Any]]]:
    """(suite, section) of the appendix for what is implemented."""
    found = []
    for section in load("hpke/rfc9180-appendix-a.json"):
        setup = section["setup"][0]
        ids = setup["mode"], setup["kem_id"], setup["kdf_id"]
        if ids == ("0", "32", "1") and int(setup["aead_id"]) in BY_AEAD:
            found.append((BY_AEAD[int(setup["aead_id"])], section))
    return found


def test_appendix_a() -> None:
    sections = base_sections()
    assert {suite.id for suite, _ in sections} == {1, 3}
    for suite, section in sections:
        setup = section["setup"][0]
        sender_private, sender_public = hpke.derive_key_pair(unhex(setup["ikmE"]))
        assert (sender_private.hex(), sender_public.hex()) == (setup["skEm"], setup["pkEm"])
        private, public = hpke.derive_key_pair(unhex(setup["ikmR"]))
        assert (private.hex(), public.hex()) == (setup["skRm"], setup["pkRm"])
        shared, kem_output = hpke.encap(public, sender_private)
        assert (shared.hex(), kem_output.hex()) == (setup["shared_secret"], setup["enc"])
        assert hpke.decap(kem_output, private) == hpke.decap(kem_output, private, public) == shared
        info = unhex(setup["info"])
        keys = hpke.key_schedule(suite, shared, info)
        assert keys.context.hex() == setup["key_schedule_context"]
        assert keys.secret.hex() == setup["secret"]
        assert keys.key.hex() == setup["key"]
        assert keys.base_nonce.hex() == setup["base_nonce"]
        assert keys.exporter_secret.hex() == setup["exporter_secret"]
        first = section["encryptions"][0]
        assert first["sequence number"] == "0"
        plaintext, ad = unhex(first["pt"]), unhex(first["aad"])
        sealed = hpke.seal(suite, public, info, ad, plaintext, sender_private)
        assert sealed == (kem_output, unhex(first["ct"]))
        assert hpke.open_sealed(suite, kem_output, private, info, ad, sealed[1]) == plaintext
        for case in section["exported values"]:
            context, length = unhex(case["exporter_context"]), int(case["L"])
            assert hpke.export(suite, keys.exporter_secret, context, length).hex() == case["exported_value"]
            assert hpke.export_to(suite, public, info, context, length, sender_private) == (
                kem_output,
                unhex(case["exported_value"]),
            )
            again = hpke.export_from(suite, kem_output, private, info, context, length)
            assert again.hex() == case["exported_value"]


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_what_is_altered_does_not_open(suite: Suite) -> None:
    private, public = hpke.derive_key_pair(b"receiver")
    other, _ = hpke.derive_key_pair(b"other")
    kem_output, sealed = hpke.encrypt_with_label(suite, public, "Label", b"context", b"secret", bytes(range(32)))
    assert hpke.decrypt_with_label(suite, private, "Label", b"context", kem_output, sealed) == b"secret"
    for args in (
        (other, "Label", b"context", kem_output, sealed),
        (private, "Labes", b"context", kem_output, sealed),
        (private, "Label", b"contexd", kem_output, sealed),
        (private, "Label", b"context", public, sealed),
        (private, "Label", b"context", kem_output, sealed[:-1]),
        (private, "Label", b"context", kem_output, b""),
        (private, "Label", b"context", bytes(32), sealed),
        (private, "Label", b"context", kem_output[:-1], sealed),
        (private[:-1], "Label", b"context", kem_output, sealed),
    ):
        with pytest.raises(Invalid):
            hpke.decrypt_with_label(suite, *args)
