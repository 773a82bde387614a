"""The tests' own helpers do what the other tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.support import servers, vectors


def test_a_shared_redis_answers(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_a_killed_redis_comes_back_empty_at_the_same_url(redis_server: servers.RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("held", "1")
        redis_server.kill()
        assert not redis_server.is_running()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.get("held") is None


def test_a_redis_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    fails = tmp_path / "redis-server"
    fails.write_text("#!/bin/sh\necho out of cheese\nexit 1\n")
    fails.chmod(0o755)
    with pytest.raises(servers.ServerError, match="out of cheese"):
        servers.RedisServer(fails, tmp_path).start()


def test_vectors_are_found_and_parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHAPPE_VECTORS", str(tmp_path))
    (tmp_path / "one.json").write_text('{"a": [1, 2]}')
    assert vectors.load("one.json") == {"a": [1, 2]}


@pytest.mark.parametrize(("ci", "outcome"), [("false", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_missing_vectors_skip_here_and_fail_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAPPE_VECTORS", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="set CHAPPE_VECTORS"):
        vectors.load("none.json")
