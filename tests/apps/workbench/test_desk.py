"""One thread owns the model: order, bounds, cancelling, and that no error ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.failures import status_of
from residuum.apps.workbench.refusals import Broken, Busy, Closed
from residuum.core import Address, LoadError, OptionError, ResiduumError
from residuum.runs import Model

MODEL: Any = object()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk("a model", lambda: MODEL, bound=4)
    yield made
    made.close()


class Held:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()

    def __call__(self, _: Model) -> str:
        self.begun.set()
        assert self.free.wait(10)
        return "held"


def test_work_gets_the_model_on_one_thread(desk: Desk) -> None:
    found = [desk.submit(lambda m: (m, threading.get_ident())).result(10) for _ in range(3)]
    assert {model for model, _ in found} == {MODEL} and len({ident for _, ident in found}) == 1
    assert found[0][1] != threading.get_ident() and desk.state == "ready"


def test_an_error_goes_to_who_asked_and_the_thread_lives_on(desk: Desk) -> None:
    def fail(_: Model) -> None:
        raise OptionError("wrong", mend="right")

    def crash(_: Model) -> None:
        raise SystemExit("not an Exception even")

    with pytest.raises(OptionError, match="wrong"):
        desk.submit(fail).result(10)
    with pytest.raises(SystemExit):
        desk.submit(crash).result(10)
    assert desk.submit(lambda _: 5).result(10) == 5


def test_a_full_queue_is_refused_and_empties_again(desk: Desk) -> None:
    held = Held()
    first = desk.submit(held)
    assert held.begun.wait(10)
    waiting = [desk.submit(lambda _, n=n: n) for n in range(4)]
    with pytest.raises(Busy, match="4 requests are waiting") as refused:
        desk.submit(lambda _: None)
    assert refused.value.status == 429
    held.free.set()
    assert first.result(10) == "held" and [each.result(10) for each in waiting] == [0, 1, 2, 3]
    assert desk.submit(lambda _: "again").result(10) == "again"


def test_what_waits_can_be_cancelled(desk: Desk) -> None:
    held, done = Held(), []
    first = desk.submit(held)
    assert held.begun.wait(10)
    dropped = desk.submit(lambda _: done.append("dropped"))
    kept = desk.submit(lambda _: done.append("kept"))
    assert dropped.cancel() and not first.cancel()
    held.free.set()
    kept.result(10)
    assert done == ["kept"]


def test_long_work_comes_last_and_lets_short_work_through(desk: Desk) -> None:
    done: list[str] = []
    held = Held()
    desk.submit(held)
    assert held.begun.wait(10)

    def long(_: Model) -> None:
        for step in range(2):
            done.append(f"step {step}")
            if step == 0:
                asked.set()
                assert inside.wait(10)
            desk.breathe()

    asked, inside = threading.Event(), threading.Event()
    last = desk.submit(long, long=True)
    desk.submit(lambda _: done.append("before"))
    held.free.set()
    assert asked.wait(10)
    between = desk.submit(lambda _: done.append("between"))
    inside.set()
    last.result(10)
    between.result(10)
    assert done == ["before", "step 0", "between", "step 1"]


def test_a_model_that_cannot_be_opened_says_so_each_time() -> None:
    def load() -> Model:
        raise LoadError("no such model", mend="another")

    desk = Desk("nothing", load)
    for _ in range(2):
        with pytest.raises(LoadError, match="no such model"):
            desk.submit(lambda _: None).result(10)
    assert desk.state == "failed"
    desk.close()


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (ValueError("rope_scaling must be a dictionary\nsecond line"), LoadError, 400),
        (OSError("config.json is not there"), LoadError, 400),
        (MemoryError(), LoadError, 400),
    ],
)
def test_what_stops_a_load_is_told_and_its_traceback_is_in_the_log(
    error: Exception, kind: type[Exception], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Model:
        raise error

    desk = Desk("odd", load)
    with pytest.raises(kind, match=type(error).__name__) as refused:
        desk.submit(lambda _: None).result(10)
    assert isinstance(refused.value, ResiduumError) and status_of(refused.value) == status
    assert "\n" not in refused.value.what and "residuum doctor odd" in refused.value.mend
    (entry,) = caplog.records
    assert entry.args is not None and str(entry.args[0]) in refused.value.mend
    assert entry.exc_info is not None and entry.exc_info[1] is error
    assert desk.close(10)


def test_a_bug_of_ours_in_a_load_says_so(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk("ours", lambda: Address.parse("L0.z").expand(None, 1))  # type: ignore[arg-type]
    with pytest.raises(Broken, match="TypeError") as refused:
        desk.submit(lambda _: None).result(10)
    assert refused.value.status == 500 and "this is a bug" in refused.value.mend
    assert len(caplog.records) == 1 and str(caplog.records[0].args[0]) in refused.value.mend  # type: ignore[index]
    assert desk.close(10)


def test_closing_waits_for_the_work_that_runs(desk: Desk) -> None:
    held = Held()
    first = desk.submit(held)
    assert held.begun.wait(10)
    assert not desk.close(0.01), "it is still at work"
    held.free.set()
    assert desk.close(10) and first.done()


def test_a_closed_desk_cancels_what_waits_and_takes_no_more(desk: Desk) -> None:
    held = Held()
    first = desk.submit(held)
    assert held.begun.wait(10)
    waiting = desk.submit(lambda _: None)
    desk.close()
    assert waiting.cancelled()
    with pytest.raises(Closed):
        desk.submit(lambda _: None)
    held.free.set()
    assert first.result(10) == "held"
