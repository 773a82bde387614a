"""MLS (RFC 9420), sans-IO: the group encryption of every private topic. See `DESIGN.md` beside this file; unaudited."""

from __future__ import annotations

from protocol.mls.errors import (
    BadKeyPackage,
    BadMessage,
    BadWelcome,
    CannotOpen,
    MlsError,
    StaleMessage,
    VoidCommit,
)
from protocol.mls.evidence import check_evidence
from protocol.mls.group import Applied, Group, Pending
from protocol.mls.keypackages import KeyPackageInfo, KeyPackagePair, generate_key_package, parse_key_package
from protocol.mls.nodes import GROUP_CONTEXT_EXTENSION, GROUP_INFO_EXTENSION
from protocol.mls.results import GroupParts, Opened, Peek, WelcomePreview
from protocol.mls.state import Member
from protocol.mls.suite import DEFAULT_SUITE

__all__ = [
    "DEFAULT_SUITE",
    "GROUP_CONTEXT_EXTENSION",
    "GROUP_INFO_EXTENSION",
    "Applied",
    "BadKeyPackage",
    "BadMessage",
    "BadWelcome",
    "CannotOpen",
    "Group",
    "GroupParts",
    "KeyPackageInfo",
    "KeyPackagePair",
    "Member",
    "MlsError",
    "Opened",
    "Peek",
    "Pending",
    "StaleMessage",
    "VoidCommit",
    "WelcomePreview",
    "check_evidence",
    "generate_key_package",
    "parse_key_package",
]
