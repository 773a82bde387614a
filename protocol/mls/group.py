"""A group as one member sees it: the public face of the MLS core.

A `Group` is a value. Every operation gives the next value and leaves this one as it is, so a caller stores the next
state before it acts on it ("checkpoint, then speak"), and drops a state by forgetting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.mls import framing, joining, limits, processing, schedule, state
from protocol.mls import suite as crypto
from protocol.mls.changes import PskSource
from protocol.mls.codec import vec
from protocol.mls.committing import CommitPlan, ExtensionSource, make_commit
from protocol.mls.errors import BadMessage, BadWelcome, Invalid, StaleMessage
from protocol.mls.framing import CONTENT_APPLICATION, WIRE_PRIVATE, PublicMessage
from protocol.mls.proposals import Proposal
from protocol.mls.results import GroupParts, Opened, Peek, WelcomePreview
from protocol.mls.schedule import PskId
from protocol.mls.secrets import SecretTree
from protocol.mls.state import Epoch, Member
from protocol.mls.suite import Entropy


def no_psks(_: PskId) -> bytes | None:
    """Knows no pre-shared key."""
    return None


@dataclass(frozen=True, slots=True, repr=False)
class Pending:
    """A commit that this member made. Send `commit` (an MLSMessage), and when it is accepted go on with `next`.

    `welcome` is an MLSMessage for all added members, None if there are none. `ratchet_tree` is the new epoch's tree.
    `current` is the present state without the message key that the commit used: go on with it, not with the group
    that made the commit, if the commit is not accepted and no other one ends the epoch.
    """

    commit: bytes
    welcome: bytes | None
    ratchet_tree: bytes
    next: Group
    current: Group


@dataclass(frozen=True, slots=True, repr=False)
class Applied:
    """What a commit of somebody else did. With `removed_self`, `next` is the state before it: for reading only, and
    soon to be deleted. Who is removed cannot check the confirmation tag, and so should see its removal confirmed (by
    the relay's access list, say) before it deletes. Who is removed and added again at once joins by its Welcome.
    `out_of_time`: the added members whose key package was outside its lifetime when this member looked (section 7.3
    recommends to look; it never voids a commit)."""

    next: Group
    committer: Member
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    removed_self: bool
    out_of_time: tuple[Member, ...]


def _kept_keys(following: Epoch, keys: SecretTree) -> SecretTree | None:
    """What stays of an epoch's message keys when the next one begins."""
    return None if following.record.past is None else keys.application_only()


def _check_outgoing(authenticated_data: bytes, padding: int) -> None:
    if len(authenticated_data) > limits.MAX_AUTHENTICATED_DATA_BYTES:
        raise ValueError(f"authenticated_data has at most {limits.MAX_AUTHENTICATED_DATA_BYTES} bytes")
    if not 0 <= padding <= limits.MAX_PADDING_BYTES:
        raise ValueError(f"padding is 0 to {limits.MAX_PADDING_BYTES} bytes")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Group:
    """A member's state in a group. Make one with `create`, `join` or `from_parts`."""

    _epoch: Epoch
    _keys: SecretTree
    _past_keys: SecretTree | None = None

    def __repr__(self) -> str:
        return f"Group({self.group_id.hex()}, epoch={self.epoch}, leaf={self._epoch.record.own_leaf})"

    # Beginning

    @classmethod
    def create(
        cls,
        *,
        group_id: bytes,
        identity: bytes,
        signature_private: bytes,
        suite: int = crypto.DEFAULT_SUITE,
        lifetime: tuple[int, int],
        extensions: Sequence[tuple[int, bytes]] = (),
        longest_lifetime_s: int = limits.MAX_LIFETIME_S,
        entropy: Entropy,
    ) -> Group:
        """A new group with this one member, at epoch 0 (RFC 9420 section 11).

        `lifetime`: (not before, not after) of the own leaf, Unix seconds; `extensions`: (type, data) for the
        GroupContext; `longest_lifetime_s`: longest lifetime of an added key package, 0 for no bound, which must be
        the same for all members. ValueError for arguments out of range.
        """
        return cls(
            *joining.create_group(
                group_id=group_id,
                identity=identity,
                signature_private=signature_private,
                suite=suite,
                lifetime=lifetime,
                extensions=extensions,
                longest_lifetime_s=longest_lifetime_s,
                entropy=entropy,
            )
        )

    @staticmethod
    def preview(
        *, welcome: bytes, key_package: bytes, key_package_private: bytes, psks: PskSource = no_psks
    ) -> WelcomePreview:
        """Opens a Welcome as far as it goes without the tree, to learn where the tree is. Raises `BadWelcome`."""
        try:
            info = joining.open_welcome(welcome, key_package, key_package_private, psks).info
        except Invalid as error:
            raise BadWelcome(error.reason) from error
        return WelcomePreview(info.context.group_id, info.context.epoch, dict(joining.own_extensions(info)))

    @classmethod
    def join(
        cls,
        *,
        welcome: bytes,
        key_package: bytes,
        key_package_private: bytes,
        signature_private: bytes,
        ratchet_tree: bytes | None = None,
        now_s: int,
        longest_lifetime_s: int = limits.MAX_LIFETIME_S,
        psks: PskSource = no_psks,
    ) -> Group:
        """Joins by a Welcome (RFC 9420 section 12.4.3.1); the tree comes from the argument or from the GroupInfo.

        `key_package` and `key_package_private` as `generate_key_package` gave them. Whoever joins checks afterwards
        that `members` are whom it expects, and that the group id is new to it. Raises `BadWelcome`.
        """
        try:
            opened = joining.open_welcome(welcome, key_package, key_package_private, psks)
            return cls(*joining.join_group(opened, signature_private, ratchet_tree, now_s, longest_lifetime_s))
        except Invalid as error:
            raise BadWelcome(error.reason) from error

    # Looking

    @property
    def epoch(self) -> int:
        """The number of the epoch; each commit adds one."""
        return self._epoch.record.number

    @property
    def group_id(self) -> bytes:
        """The group's id."""
        return self._epoch.record.group_id

    @property
    def suite(self) -> int:
        """The number of the cipher suite."""
        return self._epoch.record.suite

    @property
    def own_leaf(self) -> int:
        """This member's leaf index."""
        return self._epoch.record.own_leaf

    @property
    def me(self) -> Member:
        """This member."""
        return self._epoch.member(self._epoch.record.own_leaf)

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, by leaf index."""
        return self._epoch.members

    @property
    def epoch_authenticator(self) -> bytes:
        """32 bytes that are equal for members who agree on everything so far (section 8.7)."""
        return self._epoch.record.secrets.authenticator

    @property
    def resumption_psk(self) -> bytes:
        """The epoch's resumption secret (section 8.6), for whoever wants to keep it; the state keeps no past ones."""
        return self._epoch.record.secrets.resumption

    @property
    def group_context_extensions(self) -> dict[int, bytes]:
        """The GroupContext's extensions, by type."""
        return dict(self._epoch.extensions)

    @property
    def group_info_extensions(self) -> dict[int, bytes]:
        """The extensions of the GroupInfo by which this member joined, until the next commit; else empty."""
        return dict(self._epoch.record.group_info_extensions)

    @property
    def ratchet_tree(self) -> bytes:
        """The encoded ratchet tree of this epoch."""
        return self._epoch.tree.encode()

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """A secret of `length` bytes that all members of this epoch derive alike (section 8.5)."""
        if not 0 < length <= limits.MAX_EXPORT_BYTES:
            raise ValueError(f"an exported secret has 1 to {limits.MAX_EXPORT_BYTES} bytes")
        return schedule.exporter(self._epoch.record.secrets.exporter, label, context, length)

    # Changing the group

    def commit(
        self,
        *,
        add: Sequence[bytes] = (),
        remove: Sequence[int] = (),
        proposals: Sequence[Proposal] = (),
        authenticated_data: bytes,
        group_info_extensions: ExtensionSource | None = None,
        tree_in_welcome: bool,
        entropy: Entropy,
        now_s: int,
        padding: int = 0,
        wire_format: int = WIRE_PRIVATE,
        psks: PskSource = no_psks,
    ) -> Pending:
        """Commits, always with fresh keys on the own path (section 12.4.1).

        `add`: key packages (MLSMessages); `remove`: leaf indices, applied before the adds, so a member can be removed
        and added again at once; `proposals`: others by value; proposals received on their own go in by reference.
        `group_info_extensions`: for the Welcome, by type; or a function of the encoded ratchet tree, for what can only
        be known then, such as its hash. `padding`: zero bytes after the content. Raises `BadKeyPackage`, and
        ValueError for what would be void.
        """
        _check_outgoing(authenticated_data, padding)
        plan = CommitPlan(
            add,
            remove,
            proposals,
            authenticated_data,
            {} if group_info_extensions is None else group_info_extensions,
            tree_in_welcome,
            now_s,
            padding,
            wire_format,
            psks,
        )
        made = make_commit(self._epoch, self._keys, plan, entropy)
        following = Group(made.epoch, made.keys, _kept_keys(made.epoch, made.spent_keys))
        current = Group(self._epoch, made.spent_keys, self._past_keys)
        return Pending(made.commit, made.welcome, made.ratchet_tree, following, current)

    def apply(self, commit: bytes, *, authenticated_data: bytes, now_s: int, psks: PskSource = no_psks) -> Applied:
        """Applies somebody else's commit (section 12.4.2). An own one whose `Pending.next` is lost is a `CannotOpen`.

        Raises `VoidCommit`, `CannotOpen` or `StaleMessage`; this state then stays as it is. `now_s` fills
        `Applied.out_of_time` and decides nothing: whether a commit counts must not depend on when a member sees it.
        """
        done = processing.process_commit(self._epoch, self._keys, commit, authenticated_data, now_s, psks)
        following = self
        if not done.removed_self:
            following = Group(done.epoch, done.keys, _kept_keys(done.epoch, self._keys))
        return Applied(following, done.committer, done.added, done.removed, done.removed_self, done.out_of_time)

    def receive_proposal(self, message: bytes) -> Group:
        """Keeps a proposal that another member sent on its own, so that a commit may refer to it.

        Raises `BadMessage` or `StaleMessage`.
        """
        try:
            epoch, keys = processing.receive_proposal(self._epoch, self._keys, message)
        except Invalid as error:
            raise BadMessage(error.reason) from error
        return Group(epoch, keys, self._past_keys)

    def drop_proposals(self) -> Group:
        """Forgets the proposals that were received on their own, so that the next `commit` leaves them out."""
        return Group(self._epoch.with_proposals(()), self._keys, self._past_keys)

    def drop_past(self) -> Group:
        """Forgets what opens messages of the past epoch."""
        return Group(self._epoch.without_past(), self._keys)

    # Messages

    def seal(
        self, plaintext: bytes, *, authenticated_data: bytes, entropy: Entropy, padding: int = 0
    ) -> tuple[bytes, Group]:
        """An application message (an MLSMessage), and the state after it (section 6.3)."""
        _check_outgoing(authenticated_data, padding)
        epoch = self._epoch
        content = vec(plaintext)
        tbs = b"".join((epoch.tbs_head, vec(authenticated_data), b"\x01", content, epoch.context))
        signature = crypto.sign_with_label(epoch.signing_key, "FramedContentTBS", tbs)
        record = epoch.record
        message, keys = framing.protect(
            self._keys,
            record.secrets.sender_data,
            epoch.head,
            record.own_leaf,
            CONTENT_APPLICATION,
            authenticated_data,
            content + vec(signature) + bytes(padding),
            entropy,
        )
        return message, Group(epoch, keys, self._past_keys)

    def open(self, message: bytes, *, authenticated_data: bytes) -> tuple[Opened, Group]:
        """Opens an application message of this epoch, or of the one before while that is kept.

        Raises `BadMessage` or `StaleMessage`; this state then stays as it is.
        """
        try:
            return self._open(message, authenticated_data)
        except Invalid as error:
            raise BadMessage(error.reason) from error

    def _open(self, data: bytes, authenticated_data: bytes) -> tuple[Opened, Group]:
        message = framing.parse_handshake_or_application(data)
        if isinstance(message, PublicMessage) or message.content_type != CONTENT_APPLICATION:
            raise Invalid("not an application message")
        if message.group_id != self.group_id:
            raise Invalid("a message of another group (6)")
        if message.authenticated_data != authenticated_data:
            raise Invalid("authenticated_data is not what the caller states (6.3.1)")
        epoch, record = self._epoch, self._epoch.record
        past = record.past
        if message.epoch == record.number:
            sender, content, generation, keys = processing.open_application(
                epoch.member, epoch.context, record.secrets.sender_data, self._keys, message
            )
            context, after = epoch.context, Group(epoch, keys, self._past_keys)
        elif past is not None and self._past_keys is not None and message.epoch == past.number:
            sender, content, generation, keys = processing.open_application(
                past.member, past.context, past.sender_data, self._past_keys, message
            )
            context, after = past.context, Group(epoch, self._keys, keys)
        else:
            raise StaleMessage(f"a message of epoch {message.epoch} in epoch {record.number}")
        assert isinstance(content.body, bytes)
        return Opened(content.body, sender, generation, message.epoch, content.signature, context), after

    @staticmethod
    def peek(message: bytes) -> Peek:
        """The clear header of a private or public message. Raises `BadMessage` if there is none."""
        try:
            wire_format, reader = framing.message_reader(message, limits.MAX_MESSAGE_BYTES)
            if wire_format not in (framing.WIRE_PUBLIC, WIRE_PRIVATE):
                raise Invalid("neither a public nor a private message")
            group_id, epoch = reader.vec(), reader.u64()
            if wire_format == WIRE_PRIVATE:
                content_type, authenticated_data = reader.u8(), reader.vec()
            else:
                framing.parse_sender(reader)
                authenticated_data, content_type = reader.vec(), reader.u8()
        except Invalid as error:
            raise BadMessage(error.reason) from error
        return Peek(epoch, group_id, content_type, authenticated_data)

    # Storing

    def to_parts(self) -> GroupParts:
        """The state, for storing."""
        return GroupParts(
            self._epoch.encode(), state.encode_ratchets(self._epoch.record.number, self._keys, self._past_keys)
        )

    @classmethod
    def from_parts(cls, parts: GroupParts) -> Group:
        """The state from what `to_parts` gave. ValueError if it is damaged or the parts belong to different epochs."""
        epoch = state.decode_epoch(parts.epoch_part)
        return cls(epoch, *state.decode_ratchets(parts.ratchet_part, epoch))
