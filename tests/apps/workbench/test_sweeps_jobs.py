"""Jobs: short requests come between blocks, a job can be cancelled, several listen to one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from sweep_events import followed, started, until
from workbench_server import Server, opened

from residuum.apps.workbench import event_log, jobs
from residuum.apps.workbench.event_log import EventLog, cells_event
from residuum.core import OptionError

LONG = {"task": "ioi", "n": 64, "sites": "mlp_act", "by": ["layer", "neuron"]}


@pytest.fixture()
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    made = opened(tmp_path / "store")
    yield made
    made.bench.close()


def test_short_requests_come_between_the_blocks_of_a_sweep(own: Server) -> None:
    record = own.run()
    plan = started(own, **LONG)
    job = own.bench.jobs.get(plan["job"])
    until(lambda: job.done >= 1)
    waits = []
    for _ in range(5):
        begun = monotonic()
        own.look("attention", run=record["id"], layer=1, head=2)
        waits.append(monotonic() - begun)
    assert job.state == "running" and job.done < job.total
    own.client.delete(f"/api/jobs/{plan['job']}")
    assert followed(own, plan["job"])[-1]["type"] == "cancelled"
    assert max(waits) < 5  # a block takes far less than this; the sweep takes longer


def test_a_cancelled_sweep_stops_between_blocks_and_keeps_what_it_has(own: Server) -> None:
    plan = started(own, **LONG)
    job = own.bench.jobs.get(plan["job"])
    until(lambda: job.done >= 2)
    answer = own.client.delete(f"/api/jobs/{plan['job']}").json()
    assert answer["state"] in ("running", "cancelled")
    events = followed(own, plan["job"])
    assert events[-1]["type"] == "cancelled" and job.state == "cancelled"
    done = job.done
    assert 2 <= done < job.total
    again = started(own, **LONG)
    follower = own.bench.jobs.get(again["job"])
    until(lambda: follower.total > 0)
    first = next(each for each in follower.log.since(0) if each["type"] == "progress")
    assert first["kept"] >= done
    own.client.delete(f"/api/jobs/{again['job']}")


def test_a_waiting_job_is_cancelled_at_once(own: Server) -> None:
    first, second = started(own, **LONG), started(own, task="ioi", n=4)
    answer = own.client.delete(f"/api/jobs/{second['job']}").json()
    assert answer["state"] == "cancelled"
    assert [each["type"] for each in followed(own, second["job"])] == ["cancelled"]
    own.client.delete(f"/api/jobs/{first['job']}")
    followed(own, first["job"])
    listed = own.get("/api/jobs")["jobs"]
    assert [each["id"] for each in listed] == [second["job"], first["job"]]
    assert own.client.delete(f"/api/jobs/{second['job']}").json()["state"] == "cancelled"


def test_several_listeners_hear_the_same_and_a_late_one_catches_up(own: Server) -> None:
    plan = started(own, task="ioi", n=32, sites="z", by=["layer", "head"])
    heard: list[Any] = [None] * 3

    def listen(i: int) -> None:
        heard[i] = followed(own, plan["job"])

    threads = [threading.Thread(target=listen, args=(i,)) for i in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    late = followed(own, plan["job"])
    assert heard[0] == heard[1] == heard[2] == late
    numbers = [each["n"] for each in late]
    assert numbers == list(range(1, len(late) + 1))
    assert followed(own, plan["job"], since=numbers[-2]) == late[-1:]
    assert followed(own, plan["job"], since=numbers[-1]) == []


def test_what_is_folded_comes_back_as_a_summary() -> None:
    log = EventLog(8)
    rng = np.random.default_rng(0)
    last: dict[tuple[int, int], float] = {}
    for step in range(40):
        cell, value = (int(rng.integers(5)), int(rng.integers(5))), float(step)
        last[cell] = value
        event = cells_event([(cell, value)], partial=step < 20)
        log.add("cells", **{k: v for k, v in event.items() if k != "type"})
    log.add("done", last=True, result={})
    for since in range(42):
        events = log.since(since)
        numbers = [each["n"] for each in events]
        assert numbers == sorted(numbers) and all(each >= since for each in numbers)
        if since == 0:
            found = {}
            for each in events[:-1]:
                found |= dict(zip(map(tuple, each["cells"]), each["values"], strict=True))
            assert found == last and len(events) < 15


def test_nothing_follows_the_last_event() -> None:
    log = EventLog()
    log.add("cancelled", last=True)
    log.add("progress", done=1, total=2)
    assert [each["type"] for each in log.since(0)] == ["cancelled"] and log.closed


def test_a_refusal_in_the_middle_is_told_as_what_and_mend(own: Server) -> None:
    def work(model: Any, ticket: Any) -> dict[str, Any]:
        ticket.progress(1, 2, None)
        raise OptionError("it does not work", mend="do something else")

    job = own.bench.jobs.start(own.bench.desk("microworld"), "sweep", {}, work)
    events = followed(own, job.id)
    assert [each["type"] for each in events] == ["progress", "failed"]
    assert (events[-1]["what"], events[-1]["mend"]) == ("it does not work", "do something else")
    told = own.get(f"/api/jobs/{job.id}")
    assert told["state"] == "failed" and told["what"] == "it does not work"


def test_an_unforeseen_failure_tells_no_more_than_a_number(own: Server, caplog: Any) -> None:
    def work(model: Any, ticket: Any) -> dict[str, Any]:
        raise ZeroDivisionError("a secret path /home/someone")

    job = own.bench.jobs.start(own.bench.desk("microworld"), "sweep", {}, work)
    last = followed(own, job.id)[-1]
    assert last["type"] == "failed" and "ZeroDivisionError" in last["what"]
    assert "secret" not in str(last) and "a secret path" in caplog.text
    assert own.run()["id"]  # the thread lives on


def test_the_queue_of_jobs_is_bounded(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAITING", 2)
    first = [started(own, **LONG)["job"] for _ in range(2)]
    response = own.client.post("/api/sweeps", json={"model": "microworld", **LONG})
    assert response.status_code == 429 and "jobs are waiting" in response.json()["what"]
    for each in first:
        own.client.delete(f"/api/jobs/{each}")


def test_finished_jobs_are_forgotten_in_the_end(
    own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REMEMBERED", 2)
    found = []
    for _ in range(5):
        found.append(started(own, task="ioi", n=2)["job"])
        followed(own, found[-1])
    assert len(own.get("/api/jobs")["jobs"]) <= 3
    response = own.client.get(f"/api/jobs/{found[0]}/events")
    assert response.status_code == 404 and "there is no job" in response.json()["what"]


def test_closing_the_server_ends_every_job(tmp_path: Path) -> None:
    made = opened(tmp_path / "store")
    running, waiting = started(made, **LONG), started(made, **LONG)
    until(lambda: made.bench.jobs.get(running["job"]).done >= 1)
    made.bench.close()
    assert made.bench.jobs.get(running["job"]).over  # else the process would be aborted at its end
    for each in (running, waiting):
        assert followed(made, each["job"])[-1]["type"] == "cancelled"


def test_an_event_log_keeps_few_events() -> None:
    log = EventLog()
    for i in range(5 * event_log.MOST):
        log.add("progress", done=i, total=1)
    assert len(log.since(0)) <= event_log.MOST
