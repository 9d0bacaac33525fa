"""Runs a graph of steps: two at a time, each as soon as what it needs is there, failures told apart from the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from flows.errors import Interrupted, NielloError
from flows.store import Result, Step, Store
from sim.common import processes

WORKER_SLOTS = 2


@dataclass(frozen=True)
class Task:
    """A step of one design, and the tasks whose results it is made from.

    Attributes
    ----------
    name : what the screen calls it
    owner : the design
    stage : the stage of the road that it belongs to
    needs : ids of the tasks before it
    make : from their results to the step
    """

    name: str
    owner: str
    stage: str
    needs: tuple[str, ...]
    make: Callable[[dict[str, Result]], Step]


@dataclass
class Outcome:
    """What became of a graph: results and errors by task id, and the ids that were never reached."""

    results: dict[str, Result] = field(default_factory=dict)
    errors: dict[str, NielloError] = field(default_factory=dict)
    unreached: list[str] = field(default_factory=list)


class Progress(Protocol):
    """Who watches a run."""

    def started(self, identity: str, task: Task) -> None: ...
    def finished(self, identity: str, task: Task, result: Result) -> None: ...
    def failed(self, identity: str, task: Task, error: NielloError) -> None: ...


def run_tasks(
    tasks: dict[str, Task], store: Store, progress: Progress, *, forced_stages: frozenset[str] = frozenset()
) -> Outcome:
    """Runs every task, in the order given where several could start.

    A failed task stops only what needs it. Tasks of `forced_stages` run even if their result is there.
    """
    outcome = Outcome()
    waiting = dict(tasks)
    running: dict[Future[Result], str] = {}
    # Leaving the block waits for the running steps; an interrupt ends their tools.
    with ThreadPoolExecutor(WORKER_SLOTS) as pool, _no_orphans():
        while waiting or running:
            for identity, task in list(waiting.items()):
                if any(need in outcome.errors or need in outcome.unreached for need in task.needs):
                    del waiting[identity]
                    outcome.unreached.append(identity)
                elif all(need in outcome.results for need in task.needs) and len(running) < WORKER_SLOTS:
                    del waiting[identity]
                    needed = {need: outcome.results[need] for need in task.needs}
                    forced = task.stage in forced_stages
                    running[pool.submit(_run, task, identity, needed, store, progress, forced)] = identity
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                identity = running.pop(future)
                try:
                    outcome.results[identity] = future.result()
                    progress.finished(identity, tasks[identity], outcome.results[identity])
                except NielloError as error:
                    outcome.errors[identity] = error
                    progress.failed(identity, tasks[identity], error)
    return outcome


@contextlib.contextmanager
def _no_orphans() -> Iterator[None]:
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        processes.stop_all()
        raise


def _run(
    task: Task, identity: str, needed: dict[str, Result], store: Store, progress: Progress, forced: bool
) -> Result:
    return store.run(task.make(needed), force=forced, on_start=lambda: progress.started(identity, task))
