"""The coverage command measures one file with one test file, and says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import own_coverage


def test_one_file_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert own_coverage.main(["protocol/padding.py"]) == 0
    printed = capsys.readouterr().out
    assert "%  protocol/padding.py" in printed
    assert printed.endswith("0 below 90 %\n")


def test_what_is_low_is_said_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answers: dict[str, tuple[float, list[int]]] = {"a.py": (89.9, [3, 4]), "b.py": (90.0, [])}

    def measure(source: Path, test: Path) -> tuple[float, list[int]]:
        if source.name not in answers:
            raise own_coverage.TestsFailed("1 failed")
        return answers[source.name]

    monkeypatch.setattr(own_coverage, "measure", measure)
    here = Path("tests/house/test_own_coverage.py")
    found = [(Path("a.py"), here), (Path("b.py"), here), (Path("c.py"), here), (Path("d.py"), Path("no/test_d.py"))]
    monkeypatch.setattr(own_coverage, "chosen", lambda arguments: found)
    assert own_coverage.main([]) == 1
    printed = capsys.readouterr().out
    assert printed.count("89.9%  a.py  missing 3, 4") == 2
    assert printed.count("b.py") == 1
    assert printed.count("failed  c.py: 1 failed") == 2
    assert "none  d.py: no/test_d.py is missing" in printed


def test_paths_choose() -> None:
    assert [source for source, _test in own_coverage.chosen(["protocol/ids.py"])] == [Path("protocol/ids.py")]
    mls = [source for source, _test in own_coverage.chosen(["protocol/mls"])]
    assert mls
    assert all(source.parts[:2] == ("protocol", "mls") for source in mls)
    assert len(own_coverage.chosen([])) > len(mls)
