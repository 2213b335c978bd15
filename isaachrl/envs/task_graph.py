"""Task graphs: a task split into subtasks that call each other, declared as data.

A subtask chooses among its children, which are subtasks or primitive actions, until it is done; then control returns to
its caller, as from a subroutine (Dietterich 2000). Its functions take the environment's `state` tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from isaachrl.errors import ConfigError, nearest

Predicate = Callable[[Tensor], Tensor]
Between = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Frame:
    """A coordinate frame on the plane in which a subtask always starts at the same point.

    The first columns of the state are x, y and heading. The point of the call is translated to `origin`, and the plane
    is rotated about it by -`turn_rad`.

    Args:
        turn_rad: direction of the frame, counterclockwise.
        origin: starting point in the frame.
        heading_sign: 1 if headings increase counterclockwise, -1 if clockwise.
    """

    turn_rad: float
    origin: tuple[float, float]
    heading_sign: float = 1.0


@dataclass(frozen=True)
class Subtask:
    """One node of a task graph.

    Args:
        name: of the subtask.
        children: names of the subtasks and primitive actions it may call.
        done: states `(n, F)` -> `(n,)` bool, the termination condition. A subtask cannot be called where it is done.
            None for the root, which ends with the episode.
        may_start: states `(n, F)` -> `(n,)` bool, the states it may be called in; None: all in which it is not done.
        internal_reward: states before and after a child's call, both `(n, F)` -> `(n,)`; a reward for this subtask
            alone, which its callers do not get.
        sees: names of the columns of the state that its policy depends on (state abstraction); empty: all.
        frame: its coordinate frame, which makes several subtasks equal; the functions then take views, the states in
            this frame.
        shares: name of its policy; subtasks with the same name share one. Empty: a policy of its own.
        succeeded: views `(n, F)` -> `(n,)` bool, a subtask that is done has reached its goal; None: always.
        extent: least and greatest value of each column of its views, if these are continuous.
        wraps: numbers of the columns that are periodic over their extent, such as angles.
    """

    name: str
    children: tuple[str, ...]
    done: Predicate | None = None
    may_start: Predicate | None = None
    internal_reward: Between | None = None
    sees: tuple[str, ...] = ()
    frame: Frame | None = None
    shares: str = ""
    succeeded: Predicate | None = None
    extent: tuple[tuple[float, float], ...] = ()
    wraps: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskGraph:
    """A hierarchy of subtasks.

    Args:
        subtasks: all of them, the root first.
        actions: names of the primitive actions.

    Raises:
        ConfigError: two nodes with one name, a child that does not exist, a subtask without children or callers, a
            subtask other than the root without `done`, a root with `done`, or a cycle of calls.
    """

    subtasks: tuple[Subtask, ...]
    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse graphs that no stack can execute."""
        names = [subtask.name for subtask in self.subtasks]
        known = [*names, *self.actions]
        for name in known:
            if known.count(name) > 1:
                raise ConfigError(f"task graph: two nodes have the name {name}; give each its own")
        for subtask in self.subtasks:
            if not subtask.children:
                raise ConfigError(f"task graph: {subtask.name} has no children; name subtasks or actions it may call")
            for child in subtask.children:
                if child not in known:
                    raise ConfigError(f"task graph: {subtask.name} calls {child!r}{nearest(child, known)}")
            if subtask.done is None and subtask is not self.root:
                raise ConfigError(
                    f"task graph: {subtask.name} cannot terminate; give it done=, a function of the state"
                )
        if self.root.done is not None:
            raise ConfigError(
                f"task graph: {self.root.name} is the root, which ends with the episode; leave out its done=, and let"
                " the environment terminate there"
            )
        self._walk(self.root.name, ())
        called = {child for subtask in self.subtasks for child in subtask.children}
        for name in names[1:]:
            if name not in called:
                raise ConfigError(f"task graph: {name} is never called; name it among the children of another subtask")

    @property
    def root(self) -> Subtask:
        """The subtask that represents the whole task."""
        return self.subtasks[0]

    @cached_property
    def by_name(self) -> dict[str, Subtask]:
        """Subtasks by name."""
        return {subtask.name: subtask for subtask in self.subtasks}

    def _walk(self, name: str, above: tuple[str, ...]) -> None:
        """Follow all chains of calls from a node, and raise if there is a cycle."""
        if name in above:
            cycle = " -> ".join((*above[above.index(name) :], name))
            raise ConfigError(f"task graph: the calls run in a cycle, {cycle}; a subtask may not call one above it")
        for child in self.by_name[name].children if name in self.by_name else ():
            self._walk(child, (*above, name))

    def paths(self) -> list[tuple[str, ...]]:
        """Every chain of open calls `(root, …, subtask)`, shorter ones first."""
        found: list[tuple[str, ...]] = [(self.root.name,)]
        for path in found:
            found += [(*path, child) for child in self.by_name[path[-1]].children if child in self.by_name]
        return found

    @property
    def depth(self) -> int:
        """Maximum number of calls that can be open at once."""
        return max(len(path) for path in self.paths())

    def bottom_up(self) -> list[Subtask]:
        """All subtasks, each after its children."""
        longest = {subtask.name: 0 for subtask in self.subtasks}
        for path in self.paths():
            longest[path[-1]] = max(longest[path[-1]], len(path))
        return sorted(self.subtasks, key=lambda subtask: -longest[subtask.name])

    def text(self) -> str:
        """The graph as an indented list; the children of a subtask are listed where it occurs first."""
        lines: list[str] = []
        written: set[str] = set()

        def write(name: str, level: int) -> None:
            subtask = self.by_name.get(name)
            note = ""
            if subtask is not None:
                note = "" if not subtask.sees else f"  (sees {', '.join(subtask.sees)})"
                note += "" if not subtask.shares else f"  (policy shared: {subtask.shares})"
                note += "  (above)" if name in written else ""
            lines.append(f"{'  ' * level}{name}{note}")
            if subtask is not None and name not in written:
                written.add(name)
                for child in subtask.children:
                    write(child, level + 1)

        write(self.root.name, 0)
        return "\n".join(lines)


def flat_graph(actions: tuple[str, ...]) -> TaskGraph:
    """The graph without a hierarchy: the root calls the primitive actions."""
    return TaskGraph((Subtask("Root", actions),), actions)
