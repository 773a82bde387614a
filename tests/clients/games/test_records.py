"""What a player keeps."""

from __future__ import annotations

import msgspec

from clients.games.records import Offer, Record, Said, Seeking, State, entry_name


def test_rows_come_back_and_say_little() -> None:
    said = Said(3, 1, "e2e4", False, b"signed")
    record = Record(b"m" * 32, b"r" * 32, b"t" * 32, State.PLAYING, "chess", (("size", 9),), said=said)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record)
    assert again == record
    assert repr(again) == "Record(chess 6d6d6d6d, playing)"
    offer = Offer(b"i" * 16, b"r" * 32, b"", b"e" * 32)
    assert "e" * 32 not in repr(offer)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(offer), type=Offer) == offer
    seeking = Seeking(b"r" * 32, "chess", (), "300+3", True, b"e" * 32)
    assert repr(msgspec.msgpack.decode(msgspec.msgpack.encode(seeking), type=Seeking)) == "Seeking(chess, 300+3)"
    assert entry_name(b"m", 258) == b"m\x00\x00\x01\x02"
