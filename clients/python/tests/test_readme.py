"""The examples of the READMEs, run as they stand, one after the other, with a real daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from daemon import ROOT, Daemon


def examples(readme: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", readme.read_text(), re.M | re.S)


@pytest.mark.parametrize("name", ["README.md", "clients/python/README.md"])
def test_the_examples_run(
    daemon: Daemon,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSMD_SERVER", daemon.server)
    names: dict[str, object] = {"__name__": "example"}
    for number, example in enumerate(examples(ROOT / name)):
        code = example.replace("127.0.0.1:50051", daemon.server)
        exec(compile(code, f"{name}, example {number + 1}", "exec"), names)
    assert len(capsys.readouterr().out) > 20


def test_the_ten_lines_are_the_same_and_ten() -> None:
    (lines,) = examples(ROOT / "README.md")
    assert examples(ROOT / "clients/python/README.md")[0] == lines
    assert len([line for line in lines.splitlines() if line]) == 10
