"""The package as people get it: built, installed into a virtual environment of its own, and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from daemon import ROOT, Daemon
from test_readme import examples

# A folder of wheels to install from; PyPI without it.
WHEELS = os.environ.get("SSMD_PYTHON_WHEELS")
CLIENT = ROOT / "clients/python"


def run(*command: str | Path, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def python(tmp_path: Path) -> Path:
    venv.create(tmp_path / "venv", with_pip=True)
    return tmp_path / "venv/bin/python"


def pip_install(python: Path, what: Path, folder: Path) -> None:
    source = ["--no-index", "--find-links", WHEELS] if WHEELS else []
    run(python, "-m", "pip", "install", "--quiet", *source, what, folder=folder)


def test_the_ten_lines_work_in_a_clean_environment(
    daemon: Daemon, python: Path, tmp_path: Path
) -> None:
    pip_install(python, CLIENT, tmp_path)
    (lines,) = examples(ROOT / "README.md")
    example = tmp_path / "example.py"
    example.write_text(lines.replace("127.0.0.1:50051", daemon.server))
    assert len(run(python, "-W", "error", example, folder=tmp_path)) > 20
    assert (tmp_path / "x.ssm").stat().st_size > 100000


def test_a_source_distribution_builds_without_the_clone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, folder=CLIENT)
    (archive,) = out.glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*command, "--wheel-dir", out, archive, folder=tmp_path)
    (wheel,) = out.glob("*.whl")
    script = "import ssmd; print(ssmd.__version__, ssmd.Client().close())"
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    run(*command, "--target", site, wheel, folder=tmp_path)
    script = f"import sys; sys.path.insert(0, {str(site)!r}); {script}"
    assert run(sys.executable, "-c", script, folder=tmp_path).startswith("0.")


def test_the_version_is_the_daemons() -> None:
    versions = [
        re.search(r"VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text().split("project(")[1]),
        re.search(r'^version = "([0-9.]+)"', (CLIENT / "pyproject.toml").read_text(), re.M),
    ]
    assert len({version.group(1) for version in versions if version}) == 1
