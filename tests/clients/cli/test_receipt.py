"""``chappe receipt verify``, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.cli.receipt import as_file, verify
from clients.wallet import Payment
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.receipts import Checkpoint, Frontier, Receipt, leaf_hash, sign_checkpoint

KEY = SigningKey(b"k" * 32)


def made(path: Path, body: bytes) -> Path:
    """A receipt of a log of one."""
    frontier = Frontier()
    frontier.append(leaf_hash(b"s" * 32, body))
    checkpoint = sign_checkpoint(Checkpoint("log", 1, frontier.root(), 5, 1), KEY)
    receipt = encode_struct(Receipt(body, b"s" * 32, 0, (), checkpoint))
    payment = Payment(b"i" * 48, KEY.public, b"p" * 32, b"q" * 32, "EUR", 2, 5, 1, receipt=receipt)
    path.write_text(as_file(payment, "log"))
    return path


BODY = encode_struct([1, 5, 0, 7, [7, b"i" * 48, b"p" * 32, b"q" * 32, "EUR", 2, 7, b""], b"", 0, 1])


def test_a_good_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made(tmp_path / "r.json", BODY)
    assert verify(file, json=True) == 0
    assert json.loads(capsys.readouterr().out)["amount"] == 7
    assert verify(file, worker=KEY.public.hex()) == 0
    assert "verified: True" in capsys.readouterr().out


def test_bad_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made(tmp_path / "r.json", BODY)
    assert verify(file, worker="ab" * 32) == 1
    assert verify(file, worker="ab" * 32, json=True) == 1
    assert "NOT VERIFIED" in capsys.readouterr().out
    assert verify(made(tmp_path / "s.json", b"no record")) == 1
    assert verify(tmp_path / "missing") == 2
    (tmp_path / "t").write_text("{}")
    assert verify(tmp_path / "t") == 2
