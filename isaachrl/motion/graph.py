"""A motion graph: ways from any state of a body to a motion, through others where that is smoother."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.maths import rotations
from isaachrl.memory import require_memory
from isaachrl.motion.library import MotionLibrary

_SPACING_S = 0.15  # of the moments of the longest clip at which it can be joined and left; all clips have as many,
_MOMENTS = (48, 256)  # within these bounds
_NEAR_CLIPS = 32  # that a way may jump to from each moment, beside its goal
_SECONDS_M = 0.06  # costs in m: of each second on the way,
_JUMP_M = 0.02  # of a jump beside the distance of the two states,
_LATE_M = 0.06  # and of each second of a motion without loop that a way leaves out
_REST_S = 0.7  # of a clip without loop that is left where it goes on after another, at least
_VELOCITY_S = 0.3  # of a velocity's error
_ALIKE_M = 0.1  # within which another motion goes on where a clip ends


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
            one that can be asked for, if there is any; of its own, if it can be asked for and no other is near.
    """

    def __init__(
        self, library: MotionLibrary, clip: Tensor, begin_s: Tensor | None = None, end_s: Tensor | None = None
    ) -> None:
        self.clip, self._loops = clip, library.loops
        device, count = library.device, library.num_clips
        moments = min(max(math.ceil(float(library.durations_s.max()) / _SPACING_S), _MOMENTS[0]), _MOMENTS[1])
        self._moments, nodes = moments, count * moments
        what = f"task.motion: ways between {count} clips"
        require_memory(
            16 * nodes * len(clip), device, what, "take fewer clips"
        )  # costs and jumps, and their successors
        self._spacing_s = library.durations_s / moments
        self._times_s = (torch.arange(moments, device=device) + 0.5) * self._spacing_s.unsqueeze(1)
        clips = torch.arange(count, device=device).unsqueeze(1).expand_as(self._times_s)
        self._nodes = _features_of(library, clips, self._times_s).flatten(0, 1)
        self.after = self._find_after(library)
        begin_s = torch.zeros_like(self._spacing_s[clip]) if begin_s is None else begin_s
        end_s = library.durations_s[clip] if end_s is None else end_s
        times_s, late_m = self._times_s[clip], _LATE_M * (~library.loops[clip]).float()
        inside = (times_s >= begin_s.unsqueeze(1)) & (times_s <= end_s.unsqueeze(1))
        middle = (times_s - 0.5 * (begin_s + end_s).unsqueeze(1)).abs().argmin(1)
        inside |= functional.one_hot(middle, moments).bool()  # a part may be shorter than the spacing
        late = late_m.unsqueeze(1) * (times_s - begin_s.unsqueeze(1)).clamp_min(0.0)
        goals = torch.arange(len(clip), device=device)
        self._cost_m = torch.full((len(clip), count, moments), torch.inf, device=device)
        self._cost_m[goals, clip] = torch.where(inside, late, torch.inf)
        self._jump = self._shortest()

    def _find_after(self, library: MotionLibrary) -> tuple[Tensor, Tensor]:
        """See `after`."""
        clips = torch.arange(library.num_clips, device=library.device)
        apart = distance_m(_features_of(library, clips, library.durations_s), self._nodes)
        apart = apart.view(-1, *self._times_s.shape)
        rest_s = torch.minimum(library.durations_s / 2, torch.full_like(library.durations_s, _REST_S))
        soon_over = ~library.loops.unsqueeze(1) & (self._times_s > (library.durations_s - rest_s).unsqueeze(1))
        apart.masked_fill_(soon_over, torch.inf)
        others = ~torch.eye(len(clips), dtype=torch.bool, device=clips.device)
        motions = others & library.commands
        may = torch.where(motions.any(1, keepdim=True), motions, others)
        to_others, own = apart.masked_fill(~may.unsqueeze(2), torch.inf), apart.diagonal().T
        other_m, other = to_others.flatten(1).min(1)
        own_m, moment = own.min(1)
        stays = library.commands & (own_m < other_m) & (other_m > _ALIKE_M)
        return self._moment(torch.where(stays, clips * self._times_s.shape[1] + moment, other))

    def _nearest(self) -> tuple[Tensor, Tensor]:
        """The nearest node of each of the nearest other clips, `(C M, K)`, and what a jump there costs in m."""
        count, moments = self._times_s.shape
        chosen = min(count, _NEAR_CLIPS)
        parts = []
        for row, own in zip(self._nodes.split(moments), range(count), strict=True):
            apart, moment = distance_m(row, self._nodes).view(moments, count, moments).min(2)
            apart[:, own] = torch.inf
            cost, clip = apart.topk(chosen, dim=1, largest=False)
            parts.append((clip * moments + moment.gather(1, clip), cost + _JUMP_M))
        target, cost = (torch.cat(part) for part in zip(*parts, strict=True))
        return target, cost

    def _shortest(self) -> Tensor:
        """Find the costs of all ways; returns the node `(G, C M)` to jump to from each node, -1 to go on."""
        target, apart = self._nearest()
        arrived = torch.isfinite(self._cost_m).flatten(1)
        # nor are goals left, which are parts of clips: there the clip goes on
        own = functional.one_hot(self.clip, len(self._times_s)).bool().repeat_interleave(self._moments, 1)
        straight = [
            self._straight(costs, inside) for costs, inside in zip(self._cost_m.flatten(1), arrived, strict=True)
        ]
        while True:
            before = self._cost_m.flatten(1)
            jumps = [self._best(costs, target, apart, *to) for costs, to in zip(before, straight, strict=True)]
            by_jump, jump = (torch.stack(part) for part in zip(*jumps, strict=True))
            by_jump.masked_fill_(own, torch.inf)
            way = self._go_on(torch.minimum(before, by_jump).view_as(self._cost_m))
            self._cost_m = torch.where(arrived.view_as(way), self._cost_m, way)
            if torch.equal(before, self._cost_m.flatten(1)):
                break
        jumps_now = (by_jump <= self._cost_m.flatten(1)) & torch.isfinite(by_jump) & ~arrived
        return torch.where(jumps_now, jump, -1)

    def _straight(self, costs: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """What a jump straight to a goal costs from each node, and to which of its nodes, `(C M,)` each."""
        nodes = inside.nonzero()[:, 0]
        cost, index = (distance_m(self._nodes, self._nodes[nodes]) + costs[nodes] + _JUMP_M).min(1)
        return cost, nodes[index]

    @staticmethod
    def _best(
        costs: Tensor, target: Tensor, apart: Tensor, straight_m: Tensor, straight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cheapest jump from each node, and to which node, `(C M,)` each."""
        near_m, index = (apart + costs[target]).min(1)
        near = target.gather(1, index.unsqueeze(1)).squeeze(1)
        return torch.minimum(near_m, straight_m), torch.where(straight_m <= near_m, straight, near)

    def _go_on(self, cost_m: Tensor) -> Tensor:
        """Costs `(G, C, M)` where ways may also go on from each moment to the next."""
        second = _SECONDS_M * self._spacing_s
        cost_m, last = cost_m.clone(), self._moments - 1
        following = cost_m[..., 0]
        for moment in [*reversed(range(self._moments))] * 2:  # twice, around the end of loops
            if moment == last:
                following = torch.where(self._loops, cost_m[..., 0], torch.inf)
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
        share = time_s / self._spacing_s[clip]
        share = torch.where(self._loops[clip], torch.remainder(share, self._moments), share.clamp_min(0.0))
        node = clip * self._moments + share.long().clamp_max(self._moments - 1)
        jump = self._jump[goal.clamp_min(0), node]
        jumps = (jump >= 0) & (goal >= 0)
        new_clip, new_s = self._moment(jump.clamp_min(0))
        return torch.where(jumps, new_clip, clip), torch.where(jumps, new_s, time_s)

    def _moment(self, node: Tensor) -> tuple[Tensor, Tensor]:
        clip = torch.div(node, self._moments, rounding_mode="floor")
        return clip, self._times_s[clip, node % self._moments]


def _features_of(library: MotionLibrary, clip: Tensor, time_s: Tensor) -> Tensor:
    """`features (…, ·)` of moments of clips `(…)`."""
    state = library.state(clip, time_s)
    velocity = planar_velocity(state.root_quat_w, state.root_linvel_w, state.root_angvel_w)
    return features(state.root_quat_w, state.body_pos_w, velocity)
