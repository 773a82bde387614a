"""Listening sockets."""

from __future__ import annotations

import socket

import pytest

from relay.config import ConfigError
from relay.sockets import address_of, location_of, open_listeners, open_sockets


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}.*'port'"):
            open_sockets("127.0.0.1", port, "port")


def test_a_host_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on no\.such\.host\.invalid:0"):
        open_sockets("no.such.host.invalid", 0, "port")


def test_addresses() -> None:
    (listener,) = open_sockets("127.0.0.1", 0, "port")
    with listener:
        assert location_of(listener).startswith("127.0.0.1:")
        assert not listener.getblocking()
    try:
        (listener,) = open_sockets("::1", 0, "port")
    except ConfigError:
        return  # a machine without IPv6
    with listener:
        assert location_of(listener).startswith("[::1]:")


def test_every_address_of_a_name_gets_the_same_port() -> None:
    listeners = open_sockets("localhost", 0, "port")
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_the_address_in_a_name() -> None:
    assert address_of(("192.0.2.1", 80)) == "192.0.2.1"
    assert address_of("") == ""


async def test_listeners_of_trio() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, "port")
    async with listener:
        port = int(location_of(listener.socket).removeprefix("127.0.0.1:"))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}.*'ops_port'"):
            await open_listeners("127.0.0.1", port, "ops_port")
