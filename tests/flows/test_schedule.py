"""A graph of steps: order, two at a time, failures told apart."""

import threading
import time

import pytest

from flows.errors import NielloError
from flows.schedule import WORKER_SLOTS, Task, run_tasks
from flows.store import Step, Store


class Watcher:
    """Records what a run says, and how many steps ran at once."""

    def __init__(self):
        self.order, self.failures, self.running, self.most = [], [], 0, 0
        self.lock = threading.Lock()

    def started(self, identity, task):
        with self.lock:
            self.order.append(identity)
            self.running += 1
            self.most = max(self.most, self.running)

    def finished(self, identity, task, result):
        with self.lock:
            self.running -= not result.cached

    def failed(self, identity, task, error):
        with self.lock:
            self.failures.append((identity, str(error)))
            self.running -= 1


def graph(edges, broken=(), pause=0.0):
    """Tasks by name from {name: what it needs}; each writes its name and those of its needs."""
    tasks = {}
    for name, needs in edges.items():

        def make(results, name=name):
            def action(out):
                time.sleep(pause)
                if name in broken:
                    raise NielloError(f"{name} broke")
                (out / "name").write_text(name + "".join(result["name"].read_text() for result in results.values()))
                return {}

            return Step(name, "design", {"needs": [result.digest for result in results.values()]}, action)

        tasks[name] = Task(name, "design", f"stage-{name}", tuple(needs), make)
    return tasks


def test_schedule_runs_in_order_of_need(tmp_path):
    watcher = Watcher()
    outcome = run_tasks(graph({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}), Store(tmp_path), watcher)
    assert watcher.order[0] == "a"
    assert watcher.order[-1] == "d"
    assert outcome.results["d"]["name"].read_text() == "dbaca"


def test_schedule_fills_the_slots_and_no_more(tmp_path):
    watcher = Watcher()
    run_tasks(graph({name: [] for name in "abcdef"}, pause=0.05), Store(tmp_path), watcher)
    assert watcher.most == WORKER_SLOTS


def test_schedule_second_run_runs_nothing(tmp_path):
    tasks = graph({"a": [], "b": ["a"]})
    run_tasks(tasks, Store(tmp_path), Watcher())
    watcher = Watcher()
    outcome = run_tasks(tasks, Store(tmp_path), watcher)
    assert watcher.order == []
    assert all(result.cached for result in outcome.results.values())


def test_schedule_failure_stops_only_what_needs_it(tmp_path):
    watcher = Watcher()
    tasks = graph({"a": [], "bad": ["a"], "after": ["bad"], "later": ["after"], "other": ["a"]}, broken=["bad"])
    outcome = run_tasks(tasks, Store(tmp_path), watcher)
    assert sorted(outcome.results) == ["a", "other"]
    assert {name: str(error) for name, error in outcome.errors.items()} == {"bad": "bad broke"}
    assert sorted(outcome.unreached) == ["after", "later"]
    assert watcher.failures == [("bad", "bad broke")]


def test_schedule_forced_stages_run_again(tmp_path):
    tasks = graph({"a": [], "b": ["a"], "c": ["b"]})
    run_tasks(tasks, Store(tmp_path), Watcher())
    watcher = Watcher()
    run_tasks(tasks, Store(tmp_path), watcher, forced_stages=frozenset({"stage-b"}))
    assert watcher.order == ["b"]


def test_schedule_bug_in_a_step_is_not_swallowed(tmp_path):
    def make(_):
        return Step("bug", "design", {}, lambda out: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run_tasks({"bug": Task("bug", "design", "x", (), make)}, Store(tmp_path), Watcher())
