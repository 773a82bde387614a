"""The passive-client vectors: join by a Welcome, follow every commit, agree on every epoch authenticator."""

from __future__ import annotations

from typing import Any

from protocol.mls import Group, keypackages, schedule
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact
from protocol.mls.nodes import parse_key_package
from protocol.mls.schedule import PskId

unhex = bytes.fromhex


class PskStore:
    """External keys by id, and the resumption secrets of the epochs that the client has seen."""

    def __init__(self, external: dict[bytes, bytes]) -> None:
        self.external = external
        self.resumption: dict[tuple[bytes, int], bytes] = {}

    def remember(self, group: Group) -> None:
        """Keeps the present epoch's resumption secret."""
        self.resumption[group.group_id, group.epoch] = group.resumption_psk

    def __call__(self, psk: PskId) -> bytes | None:
        if psk.kind == schedule.PSK_EXTERNAL:
            return self.external.get(psk.psk_id)
        return self.resumption.get((psk.group_id, psk.epoch))


def check_passive_client(entry: dict[str, Any]) -> None:
    """Follows one scenario. The vectors' lifetimes have no bound, so neither has the group here."""
    message = unhex(entry["key_package"])
    package = parse_exact(message[4:], parse_key_package)
    init_private, leaf_private = unhex(entry["init_priv"]), unhex(entry["encryption_priv"])
    seed = unhex(entry["signature_priv"])
    assert crypto.public_key(init_private) == package.init_key
    assert crypto.public_key(leaf_private) == package.leaf.encryption_key
    assert crypto.public_of(crypto.signing_key(seed)) == package.leaf.signature_key
    assert package.leaf.lifetime is not None
    psks = PskStore({unhex(psk["psk_id"]): unhex(psk["psk"]) for psk in entry["external_psks"]})
    group = Group.join(
        welcome=unhex(entry["welcome"]),
        key_package=message,
        key_package_private=keypackages.encode_private(init_private, leaf_private),
        signature_private=seed,
        ratchet_tree=None if entry["ratchet_tree"] is None else unhex(entry["ratchet_tree"]),
        now_s=package.leaf.lifetime[0],
        longest_lifetime_s=0,
        psks=psks,
    )
    assert group.epoch_authenticator.hex() == entry["initial_epoch_authenticator"]
    for epoch in entry["epochs"]:
        psks.remember(group)
        for proposal in epoch["proposals"]:
            group = group.receive_proposal(unhex(proposal))
        commit = unhex(epoch["commit"])
        stated = Group.peek(commit).authenticated_data
        group = group.apply(commit, authenticated_data=stated, now_s=0, psks=psks).next
        assert group.epoch_authenticator.hex() == epoch["epoch_authenticator"]
