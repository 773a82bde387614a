"""An explicit-state model checker: breadth first over every reachable state.

Safety: the first violation found has a shortest trace. Liveness: from *every* reachable state a drained state must be
reachable over steps that are no faults: "no more faults, fair scheduling: everything drains". That finds deadlocks and
traps; it assumes that a step which stays possible is taken some day.
"""

from __future__ import annotations

import gc
import itertools
import time
from array import array
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)
#: How many states are explored between two looks at the clock.
STATES_PER_LOOK = 2048


class Verdict(StrEnum):
    """What exploring a model showed."""

    HOLDS = "holds"
    TRUNCATED = "holds (truncated, safety only)"
    VIOLATION = "VIOLATION"
    STUCK = "STUCK"


class Step(NamedTuple):
    """One edge. `label` is a %-template and its values: it is put together only for the few steps of a trace."""

    label: tuple[object, ...]
    state: Hashable
    violation: str | None = None
    fault: bool = False

    def text(self) -> str:
        """The label as a sentence."""
        return str(self.label[0]) % self.label[1:]


class Model(Protocol[S]):
    """What the checker explores. States are values; `successors` must be a pure function of the state."""

    def initial(self) -> S:
        """The one state in which everything starts."""
        ...

    def successors(self, state: S, /) -> Iterable[Step]:
        """Every step that is possible in `state`."""
        ...

    def drained(self, state: S, /) -> bool:
        """Whether nothing is left to do: the goal of the liveness check."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict, with the trace that proves it where it is a bad one."""

    verdict: Verdict
    states: int
    edges: int
    seconds: float
    what: str = ""
    trace: tuple[str, ...] = ()


@dataclass(slots=True)
class _Graph:
    """States in the order of their discovery, the tree of first discoveries, and all edges that are no faults."""

    states: list[Hashable]
    index: dict[Hashable, int]
    parent: array[int]
    source: array[int]
    target: array[int]
    edges: int = 0

    def add(self, state: Hashable, parent: int) -> int:
        """The number of `state`; a new one if it was never seen."""
        known = self.index.get(state)
        if known is None:
            known = self.index[state] = len(self.states)
            self.states.append(state)
            self.parent.append(parent)
        return known


def _grow(model: Model[S], graph: _Graph, at: int) -> Step | None:
    """Add the steps out of state number `at`; stop at one that violates a promise, and return it."""
    add, source, target = graph.add, graph.source, graph.target
    for step in model.successors(graph.states[at]):  # type: ignore[arg-type]
        graph.edges += 1
        if step.violation:
            return step
        number = add(step.state, at)
        if not step.fault:
            source.append(at)
            target.append(number)
    return None


def _trace(model: Model[S], graph: _Graph, at: int) -> Iterator[str]:
    """The labels on a shortest way from the start to state number `at`."""
    path = []
    while at >= 0:
        path.append(at)
        at = graph.parent[at]
    path.reverse()
    for here, there in itertools.pairwise(path):
        steps = model.successors(graph.states[here])  # type: ignore[arg-type]
        yield next(step.text() for step in steps if step.state == graph.states[there])


def _reversed_edges(graph: _Graph) -> tuple[array[int], array[int]]:
    """The edges by target: those into state n come from `sources[first[n] : first[n + 1]]`."""
    first = array("I", bytes(4 * (len(graph.states) + 1)))
    for target in graph.target:
        first[target + 1] += 1
    for number in range(len(graph.states)):
        first[number + 1] += first[number]
    free = array("I", first)
    sources = array("I", bytes(4 * len(graph.source)))
    for source, target in zip(graph.source, graph.target, strict=True):
        sources[free[target]] = source
        free[target] += 1
    return first, sources


def _stuck(model: Model[S], graph: _Graph) -> int | None:
    """The first state from which no drained state can be reached without faults, if there is one."""
    first, sources = _reversed_edges(graph)
    drains = bytearray(len(graph.states))
    todo = [number for number, state in enumerate(graph.states) if model.drained(state)]  # type: ignore[arg-type]
    for number in todo:
        drains[number] = 1
    while todo:
        number = todo.pop()
        for source in sources[first[number] : first[number + 1]]:
            if not drains[source]:
                drains[source] = 1
                todo.append(source)
    stuck = drains.find(0)
    return None if stuck < 0 else stuck


def explore(model: Model[S], *, states_max: int = 8_000_000, seconds_max: float = 300) -> Result:
    """Explore `model`; over either bound the verdict says that only safety was checked, and only so far."""
    began = time.process_time()
    collecting = gc.isenabled()
    gc.disable()  # millions of tuples and not one cycle: looking for cycles takes a third of the time
    try:
        return _explore(model, states_max, seconds_max, began)
    finally:
        if collecting:
            gc.enable()


def _explore(model: Model[S], states_max: int, seconds_max: float, began: float) -> Result:
    graph = _Graph([], {}, array("i"), array("I"), array("I"))
    graph.add(model.initial(), -1)

    def result(verdict: Verdict, what: str = "", trace: Iterable[str] = ()) -> Result:
        return Result(verdict, len(graph.states), graph.edges, time.process_time() - began, what, tuple(trace))

    at = 0
    while at < len(graph.states):
        bad = _grow(model, graph, at)
        if bad is not None:
            return result(Verdict.VIOLATION, bad.violation or "", [*_trace(model, graph, at), bad.text()])
        at += 1
        overdue = at % STATES_PER_LOOK == 0 and time.process_time() - began > seconds_max
        if overdue or len(graph.states) > states_max:
            return result(Verdict.TRUNCATED)
    stuck = _stuck(model, graph)
    if stuck is not None:
        what = "liveness: no fair run without more faults drains from here"
        return result(Verdict.STUCK, what, _trace(model, graph, stuck))
    return result(Verdict.HOLDS)
