"""Workers that want the same packages of npm share one installation."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.npm import install


def test_packages_are_installed_once_and_nobody_finds_half_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"private": True}))
    programs = tmp_path / "bin"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\nmkdir node_modules || exit 1\necho run >> runs\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(install, [tmp_path] * 4))
    assert (tmp_path / "runs").read_text() == "run\n"

    (tmp_path / "package.json").write_text(json.dumps({"private": True, "name": "other"}))
    (tmp_path / "node_modules" / ".installed").unlink()
    (tmp_path / "node_modules").rmdir()
    install(tmp_path)
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
