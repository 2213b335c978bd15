"""A motion graph: ways from any state of a body to a motion, through others where that is smoother."""

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.motion.library import MotionLibrary

_MOMENTS = 48  # of each clip, at which it can be joined and left
_SECONDS_M = 0.06  # costs in m: of each second on the way,
_JUMP_M = 0.02  # of a jump beside the distance of the two states,
_LATE_M = 0.06  # and of each second of a motion without loop that a way leaves out
_REST_S = 0.7  # of a clip without loop that is left where it goes on after another, at least
_VELOCITY_S = 0.3  # of a velocity's error


def planar_velocity(quat_w: Tensor, linvel_w: Tensor, angvel_w: Tensor) -> Tensor:
    """Velocity ahead and to the left in m/s and yaw rate in rad/s, `(…, 3)`, of roots at `quat_w (…, 4)`."""
    cosine, sine = rotations.heading_cos_sin(quat_w)
    x, y = linvel_w[..., 0], linvel_w[..., 1]
    return torch.stack((x * cosine + y * sine, y * cosine - x * sine, angvel_w[..., 2]), dim=-1)


def features(quat_w: Tensor, body_pos_w: Tensor, velocity: Tensor) -> Tensor:
    """Posture and velocity as one vector `(…, 3 B + 3)`, scaled to m for `distance_m`.

    Args:
        quat_w: `(…, 4)` of the root.
        body_pos_w: `(…, B, 3)` m; the root first.
        velocity: `(…, 3)`, see `planar_velocity`.
    """
    below = body_pos_w[..., :1, :].clone()
    below[..., 2].zero_()
    x, y, z = (body_pos_w - below).unbind(-1)
    cosine, sine = (part.unsqueeze(-1) for part in rotations.heading_cos_sin(quat_w))
    places = torch.cat((cosine * x + sine * y, cosine * y - sine * x, z), dim=-1)
    return torch.cat((places * body_pos_w.shape[-2] ** -0.5, _VELOCITY_S * velocity), dim=-1)


def distance_m(one: Tensor, other: Tensor) -> Tensor:
    """How far `features (n, ·)` and `(m, ·)` are apart, `(n, m)`: RMS distance of the bodies, plus that of velocities.

    A sum, so that a raised arm does not outweigh a velocity.
    """
    return torch.cdist(one[:, :-3], other[:, :-3]) + torch.cdist(one[:, -3:], other[:, -3:])


class MotionGraph:
    """Shortest ways to G goals, which are motions of a library, in a motion graph (Kovar et al. 2002).

    Its nodes are moments of all clips. From each, a way goes on in the clip or jumps to a moment of another one, which
    costs their distance. So a walk is left for standing through a clip that stops, if there is one. What a way costs
    from every node is found by value iteration, once.

    Args:
        library: C clips.
        clip: `(G,)` of each goal.
        begin_s, end_s: `(G,)` part of it; the whole clip by default.

    Attributes:
        clip: as given.
        after: clip and time `(C,)` at which to go on where a clip without loop ends: the most similar moment of another
            one that can be asked for, if there is any.
    """

    def __init__(
        self, library: MotionLibrary, clip: Tensor, begin_s: Tensor | None = None, end_s: Tensor | None = None
    ) -> None:
        self.clip = clip
        device, count = library.device, library.num_clips
        self._spacing_s = library.durations_s / _MOMENTS
        self._times_s = (torch.arange(_MOMENTS, device=device) + 0.5) * self._spacing_s.unsqueeze(1)
        clips = torch.arange(count, device=device).unsqueeze(1).expand_as(self._times_s)
        state = library.state(clips, self._times_s)
        velocity = planar_velocity(state.root_quat_w, state.root_linvel_w, state.root_angvel_w)
        self._nodes = features(state.root_quat_w, state.body_pos_w, velocity).flatten(0, 1)
        self.after = self._find_after(library)
        begin_s = torch.zeros_like(self._spacing_s[clip]) if begin_s is None else begin_s
        end_s = library.durations_s[clip] if end_s is None else end_s
        times_s, late_m = self._times_s[clip], _LATE_M * (~library.loops[clip]).float()
        inside = (times_s >= begin_s.unsqueeze(1)) & (times_s <= end_s.unsqueeze(1))
        cost = torch.where(inside, late_m.unsqueeze(1) * (times_s - begin_s.unsqueeze(1)), torch.inf)
        self._cost_m = torch.full((len(clip), count, _MOMENTS), torch.inf, device=device)
        self._cost_m[torch.arange(len(clip), device=device), clip] = cost
        self._jump = self._shortest(library.loops, torch.isfinite(self._cost_m).flatten(1))

    def _find_after(self, library: MotionLibrary) -> tuple[Tensor, Tensor]:
        """See `after`."""
        clips = torch.arange(library.num_clips, device=library.device)
        last = library.state(clips, library.durations_s)
        velocity = planar_velocity(last.root_quat_w, last.root_linvel_w, last.root_angvel_w)
        apart = distance_m(features(last.root_quat_w, last.body_pos_w, velocity), self._nodes)
        apart = apart.view(-1, *self._times_s.shape)
        rest_s = torch.minimum(library.durations_s / 2, torch.full_like(library.durations_s, _REST_S))
        soon_over = ~library.loops.unsqueeze(1) & (self._times_s > (library.durations_s - rest_s).unsqueeze(1))
        apart.masked_fill_(soon_over, torch.inf)
        if library.num_clips > 1:
            apart[clips, clips] = torch.inf
        if int(library.commands.sum()) > 1:
            apart[:, ~library.commands] = torch.inf
        return self._moment(apart.flatten(1).argmin(1))

    def _shortest(self, loops: Tensor, arrived: Tensor) -> Tensor:
        """Find the costs of all ways; returns the node `(G, C M)` to jump to from each node, -1 to go on."""
        count = len(loops)
        own = torch.eye(count, dtype=torch.bool, device=loops.device).repeat_interleave(_MOMENTS, 0)
        own = own.repeat_interleave(_MOMENTS, 1)
        apart = (distance_m(self._nodes, self._nodes) + _JUMP_M).masked_fill(own, torch.inf)
        while True:
            before = self._cost_m.flatten(1)
            jumps = [(apart + cost).min(1) for cost in before]
            by_jump = torch.stack([jump.values for jump in jumps])
            way = self._go_on(torch.minimum(before, by_jump).view_as(self._cost_m), loops)
            self._cost_m = torch.where(arrived.view_as(way), self._cost_m, way)
            if torch.equal(before, self._cost_m.flatten(1)):
                break
        target = torch.stack([jump.indices for jump in jumps])
        jumps_now = (by_jump <= self._cost_m.flatten(1)) & ~arrived
        return torch.where(jumps_now, target, -1)

    def _go_on(self, cost_m: Tensor, loops: Tensor) -> Tensor:
        """Costs `(G, C, M)` where ways may also go on from each moment to the next."""
        second = _SECONDS_M * self._spacing_s
        cost_m = cost_m.clone()
        following = torch.where(loops, cost_m[..., 0], torch.inf)
        for moment in [*reversed(range(_MOMENTS))] * 2:  # twice, around the end of loops
            if moment == _MOMENTS - 1:
                following = torch.where(loops, cost_m[..., 0], torch.inf)
            cost_m[..., moment] = torch.minimum(cost_m[..., moment], following + second)
            following = cost_m[..., moment]
        return cost_m

    def enter(self, goal: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Where bodies begin on their way.

        Args:
            goal: `(n,)`.
            features: `(n, ·)` of the bodies, see `features`.

        Returns:
            clip: `(n,)`.
            time_s: `(n,)`.
        """
        cost = distance_m(features, self._nodes) + self._cost_m.flatten(1).index_select(0, goal)
        return self._moment(cost.argmin(1))

    def go(self, goal: Tensor, clip: Tensor, time_s: Tensor) -> tuple[Tensor, Tensor]:
        """The moments `(n,)` at which to go on from moments of clips `(n,)`: the same, or another clip's.

        Args:
            goal: `(n,)`; -1 for bodies that go on wherever they are.
            clip, time_s: `(n,)`, the present moment.
        """
        share = torch.remainder(time_s / self._spacing_s[clip], _MOMENTS)
        node = clip * _MOMENTS + share.long().clamp_max(_MOMENTS - 1)
        jump = self._jump[goal.clamp_min(0), node]
        jumps = (jump >= 0) & (goal >= 0)
        new_clip, new_s = self._moment(jump.clamp_min(0))
        return torch.where(jumps, new_clip, clip), torch.where(jumps, new_s, time_s)

    def _moment(self, node: Tensor) -> tuple[Tensor, Tensor]:
        clip = torch.div(node, _MOMENTS, rounding_mode="floor")
        return clip, self._times_s[clip, node % _MOMENTS]
