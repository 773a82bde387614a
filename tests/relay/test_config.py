"""Settings: where they come from, and what is said about mistakes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from relay.config import FIELDS, ConfigError, Settings, load


def test_defaults_are_safe_and_documented() -> None:
    assert Settings().insecure() == ()
    for item in dataclasses.fields(Settings):
        assert len(item.metadata["doc"]) > 10
        low, high = item.metadata["low"], item.metadata["high"]
        default: Any = item.default
        if low is not None:
            assert low <= default <= (high if high is not None else default)


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('port = 1000\nring_frames = 7\norigins = ["https://a.example"]\nbehind_proxy = true\n')
    environment = {"CHAPPE_RELAY_PORT": "2_000", "CHAPPE_RELAY_RING_FRAMES": "8", "PATH": "/bin"}
    settings = load(file, environment, {"port": 3000, "data": None})
    assert (settings.port, settings.ring_frames, settings.origins) == (3000, 8, ("https://a.example",))
    assert settings.behind_proxy
    assert settings.data == Settings().data


def test_types_in_the_environment() -> None:
    settings = load(environment={"CHAPPE_RELAY_BEHIND_PROXY": "Yes", "CHAPPE_RELAY_ORIGINS": "https://a, https://b,"})
    assert settings.behind_proxy
    assert settings.origins == ("https://a", "https://b")
    assert load(environment={"CHAPPE_RELAY_HOST": "::1"}).host == "::1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\nprot = 1\n", "relay.toml:3: unknown setting 'prot'; did you mean 'port'?"),
        ("zzzzzzzz = 1\n", "check-config"),
        ("port = 'x'\n", "relay.toml:1: 'port' is a whole number"),
        ("port = true\n", "'port' is a whole number"),
        ("port = 70000\n", "'port' must be between 0 and 65535, not 70000"),
        ("retention_ms = -1\n", "'retention_ms' must be at least 0"),
        ("behind_proxy = 1\n", "true or false"),
        ("origins = [1]\n", "list of texts"),
        ("host = 3\n", "'host' is a text"),
        ("log_level = 'loud'\n", "debug, info, warning or error"),
        ("[relay]\nport = 1\n", "relay.toml:1: unknown setting 'relay'"),
        ("port = \n", "not TOML"),
        ("tls_key = 'key.pem'\n", "belong together"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("PORTT", "1", "CHAPPE_RELAY_PORTT: unknown setting 'portt'; did you mean 'port'?"),
        ("PORT", "many", "whole number, not 'many'"),
        ("BEHIND_PROXY", "maybe", "true or false, not 'maybe'"),
        ("PORT", "-1", "between"),
    ],
)
def test_mistakes_in_the_environment_are_named(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment={f"CHAPPE_RELAY_{name}": text})
    assert expected in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    file = tmp_path / "latin.toml"
    file.write_bytes(b"host = '\xff'")
    with pytest.raises(ConfigError, match="not TOML"):
        load(file)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"host": "0.0.0.0"}, 1),
        ({"host": "relay.example"}, 1),
        ({"host": "0.0.0.0", "behind_proxy": True}, 0),
        ({"host": "0.0.0.0", "tls_certificate": "c.pem", "tls_key": "k.pem"}, 0),
        ({"host": "localhost"}, 0),
        ({"host": "::1"}, 0),
        ({"ops_host": "0.0.0.0"}, 1),
        ({"origins": ("*",)}, 1),
        ({"host": "::", "ops_host": "::", "origins": ("*",)}, 3),
    ],
)
def test_insecure_settings_are_said(changes: dict[str, object], count: int) -> None:
    assert len(Settings(**changes).insecure()) == count  # type: ignore[arg-type]


def test_passwords_are_not_shown() -> None:
    shown = Settings(redis_url="redis://user:secret@host:1/0").as_dict()
    assert shown["redis_url"] == "redis://user:***@host:1/0"
    assert shown.keys() == FIELDS.keys()


@pytest.mark.parametrize("text", ["", "09" * 32, "AB" * 32])
def test_report_keys(text: str) -> None:
    assert load(overrides={"report_key": text}).report_key == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("09" * 31, "64 hex digits"), ("xy" * 32, "64 hex digits"), ("00" * 32, "nothing can be sealed")],
)
def test_report_keys_that_are_none(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load(overrides={"report_key": text})
