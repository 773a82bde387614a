"""Reasons of refusals, a closed set: they are a label of metrics, and nothing of a user's ever becomes a label."""

from __future__ import annotations

from enum import StrEnum


class Why(StrEnum):
    """Why somebody was refused or sent away."""

    DEVICE_RATE = "device_rate"  # too much at once from one device
    ACCOUNT_RATE = "account_rate"  # … from all devices of an account
    ADDRESS_RATE = "address_rate"  # … from one network address
    ADDRESS_CONNECTS = "address_connects"  # too many new connections from one network address
    CONNECTIONS = "connections"  # too many open connections: relay, address or account
    DESCRIPTORS = "descriptors"  # the process may open no more files
    TOPICS = "topics"  # an account founds too many conversations
    FLOOD = "flood"  # cut off: went on although it was told to wait
    PARTIAL = "partial"  # cut off: a message that had begun did not go on
    OVERSIZE = "oversize"  # cut off: a message or its number of fragments over the limit
    BANNED = "banned"
    KICKED = "kicked"
    CLOSED = "registration_closed"
    UNINVITED = "registration_uninvited"
    PROOF = "registration_proof"  # a proof of work was asked for
