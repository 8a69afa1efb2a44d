"""A kill at any moment of writing: each file is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import residuum as rz
from residuum.findings import Finding
from residuum.stores import atomic

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def killed(write: Callable[[], object], moment: int) -> bool:
    """Do it in a process that is killed (SIGKILL) at its n-th system call that writes.

    Before a file's bytes are flushed to the disk, and before and after it takes its name.

    Returns:
        Whether it was killed; False: it was done before that.
    """
    child = os.fork()
    if not child:
        count = 0

        def step(call: Callable[..., object]) -> Callable[..., object]:
            def counted(*given: object, **named: object) -> object:
                nonlocal count
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **named)

            return counted

        atomic.os.fsync = step(os.fsync)  # type: ignore[assignment]
        Path.replace = step(Path.replace)  # type: ignore[method-assign,assignment]
        Path.unlink = step(Path.unlink)  # type: ignore[method-assign,assignment]
        code = 1
        try:
            write()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def moments(write: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill at the first moment, the second, … until it is done; check after each."""
    for moment in range(1, 100):
        if not killed(write, moment):
            check()
            return moment - 1
        check()
    raise AssertionError("never done")


def test_a_finding_that_is_saved(finding: Finding, tmp_path: Path) -> None:
    """Over an older one: the finding is the old one or the new one, and the page is whole."""
    new = finding.with_claim("Four early heads tell who received it.")
    finding.save(tmp_path)
    pages = {(tmp_path / "report.html").read_text()}
    new.save(tmp_path / "apart")
    pages.add((tmp_path / "apart" / "report.html").read_text().replace("/apart/", "/"))
    seen = set()

    def check() -> None:
        seen.add(Finding.load(tmp_path).hash)
        assert (tmp_path / "report.html").read_text() in pages
        assert (tmp_path / "report.md").read_text() and (tmp_path / "tables.tex").read_text()

    assert moments(lambda: new.save(tmp_path), check) == 3 * 4
    assert seen == {finding.hash, new.hash}


def test_a_finding_that_is_saved_for_the_first_time(finding: Finding, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    seen = set()

    def check() -> None:
        names = {path.name for path in folder.glob("[!.]*")}
        seen.add(len(names))
        if names:
            assert Finding.load(folder) == finding

    moments(lambda: finding.save(folder), check)
    assert {0, 1, 2, 3, 4} >= seen >= {0, 4}


def test_a_registry_that_is_added_to(finding: Finding, tmp_path: Path) -> None:
    kept = rz.registry(tmp_path)
    kept.add(finding)
    made = replace(finding.provenance, model_id="other", weight_hash="b" * 64)
    other = replace(finding, provenance=made)
    seen = set()

    def check() -> None:
        found = rz.registry(tmp_path)
        hashes = tuple(each.hash for each in found)
        seen.add(hashes)
        assert finding.hash in hashes and not found.damaged
        assert all(found.get(each.hash) in (finding, other) for each in found)
        (tmp_path / "findings" / f"{other.hash}.json").unlink(missing_ok=True)
        assert len(rz.registry(tmp_path)) == 1  # the next kill begins where this one did

    assert moments(lambda: kept.add(other), check) == 3 * 2
    assert {len(hashes) for hashes in seen} == {1, 2}
