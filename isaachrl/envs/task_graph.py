"""Task graphs: a task split into subtasks that call each other, declared as data.

A subtask chooses among its children, which are subtasks again or primitive actions, until it is done; then control
returns to who called it, as from a subroutine. The state that its functions see is the environment's `state` tensor.
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
    """Coordinates of a subtask on a plane, in which it always begins at the same place.

    The state's first columns are x, y and a heading. The place of the call becomes `origin`, and the plane is turned
    back about it.

    Args:
        turn_rad: by which the plane is turned back, counterclockwise being positive.
        origin: where the call began, in the subtask's coordinates.
        heading_sign: 1 where headings grow counterclockwise, -1 where they grow clockwise.
    """

    turn_rad: float
    origin: tuple[float, float]
    heading_sign: float = 1.0


@dataclass(frozen=True)
class Subtask:
    """One node of a task graph.

    Args:
        name: of the subtask.
        children: names of subtasks and primitive actions it may call.
        done: states `(n, F)` -> `(n,)` bool, it has ended there; None is for the root, which only the end of the
            episode ends. A subtask cannot be called where it is done.
        may_start: states `(n, F)` -> `(n,)` bool, where it may be called; None: wherever it is not done.
        internal_reward: states before and after a child's call, both `(n, F)` -> `(n,)`: paid inside this subtask
            alone, never passed on to who called it.
        sees: names of the state's columns that its policy depends on; empty: all.
        frame: coordinates of its own, in which several subtasks look alike; the functions above then take the state as
            seen in them, its view.
        shares: name under which its parameters are kept; subtasks of the same name share them. Empty: its own.
        succeeded: view `(n, F)` -> `(n,)` bool, it ended as it should; None: always when it is done.
        extent: least and greatest value of each column of its view, where these are continuous.
        wraps: numbers of the columns whose greatest value is the same as the least, as of an angle.
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
    """Subtasks by their calls; the first one is the root.

    Args:
        subtasks: all of them, the root first.
        actions: names of the primitive actions.

    Raises:
        ConfigError: two nodes of one name, a child that does not exist, a subtask without children or that nobody
            calls, one below the root that is never done, a root that is, or a subtask that calls itself, directly or
            through others.
    """

    subtasks: tuple[Subtask, ...]
    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse graphs that no stack can execute."""
        names = [subtask.name for subtask in self.subtasks]
        known = [*names, *self.actions]
        for name in known:
            if known.count(name) > 1:
                raise ConfigError(f"task graph: the name {name} stands for two nodes; give each its own")
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
                raise ConfigError(f"task graph: nobody calls {name}; name it among the children of another subtask")

    @property
    def root(self) -> Subtask:
        """The subtask that solves the whole task."""
        return self.subtasks[0]

    @cached_property
    def by_name(self) -> dict[str, Subtask]:
        """Subtasks by name."""
        return {subtask.name: subtask for subtask in self.subtasks}

    def _walk(self, name: str, above: tuple[str, ...]) -> None:
        """Follow every chain of calls, refusing one that comes back to where it was."""
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
        """Most subtasks that can be open at once."""
        return max(len(path) for path in self.paths())

    def bottom_up(self) -> list[Subtask]:
        """All subtasks, each after those it calls."""
        longest = {subtask.name: 0 for subtask in self.subtasks}
        for path in self.paths():
            longest[path[-1]] = max(longest[path[-1]], len(path))
        return sorted(self.subtasks, key=lambda subtask: -longest[subtask.name])

    def text(self) -> str:
        """The graph as an indented list, every subtask written out where it is first met."""
        lines: list[str] = []
        shown: set[str] = set()

        def write(name: str, level: int) -> None:
            subtask = self.by_name.get(name)
            note = ""
            if subtask is not None:
                note = "" if not subtask.sees else f"  (sees {', '.join(subtask.sees)})"
                note += "" if not subtask.shares else f"  (policy shared: {subtask.shares})"
                note += "  (above)" if name in shown else ""
            lines.append(f"{'  ' * level}{name}{note}")
            if subtask is not None and name not in shown:
                shown.add(name)
                for child in subtask.children:
                    write(child, level + 1)

        write(self.root.name, 0)
        return "\n".join(lines)


def flat_graph(actions: tuple[str, ...]) -> TaskGraph:
    """The graph without a hierarchy: a root that calls the primitive actions."""
    return TaskGraph((Subtask("Root", actions),), actions)
