"""The reference motions of a training: segments, demonstration windows, features."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from isaachrl.envs import Env, TaskEnv
from isaachrl.errors import ConfigError
from isaachrl.motion.library import MotionLibrary
from isaachrl.nn.motion_embedding import style_features
from isaachrl.sim import Sim

# Features that hardly vary in the clips (a still neck) must not be scaled up: any movement there would outweigh the
# gait. In m, m/s, rad/s and entries of unit vectors alike.
_MIN_DEVIATION = 0.1


class ImitationTask(Protocol):
    """What a task must provide for skills to be learned on it."""

    cfg: Any
    sim: Sim
    library: MotionLibrary
    action_offset: Tensor
    action_scale: Tensor
    proprioception_layout: list[tuple[str, int, str]]
    style_layout: list[tuple[str, int, str]]
    style_size: int
    window_s: float
    start_clip: Tensor
    start_time_s: Tensor
    start_weights: Tensor | None
    reference_clip: Tensor
    lying_clips: Tensor
    repeats: Tensor
    recovering: Tensor
    history: Tensor
    tracking: Tensor

    def style_windows(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Windows `(n, W * style_size)` of the clips that end at the given times; newest frame first."""
        ...

    def tip_over(self) -> None:
        """Put every body on the floor, as at the begin of an episode."""
        ...

    def follow(self, mask: Tensor, clip: Tensor, time_s: Tensor) -> None:
        """From now on, compare the bodies of `mask (N,)` with clips `(N,)` from times `(N,)` in s on."""
        ...

    def release(self, mask: Tensor) -> None:
        """From now on, the bodies of `mask (N,)` need not do what they are compared with."""
        ...

    def set_goals(self, clip: Tensor, begin_s: Tensor, end_s: Tensor) -> None:
        """Motions `(G,)` to lead bodies to: parts of clips."""
        ...

    def lead_to(self, mask: Tensor, goal: Tensor) -> None:
        """From now on, compare the bodies of `mask (N,)` with the way that leads them to the goals `(N,)`."""
        ...

    def tracking_distance_m(self) -> Tensor:
        """RMS distance `(N,)` of the bodies from those references."""
        ...

    def posture_change_m(self, lag_s: float) -> Tensor:
        """Distance `(C,)`, of the same kind, between postures of each clip that are so far apart in time."""
        ...

    def reference_observation(self) -> Tensor:
        """What a tracker observes `(N, ·)` of the clips that bodies are compared with."""
        ...

    def clip_action(self) -> Tensor:
        """The actions `(N, A)` whose targets lead the joints along the clips that bodies are compared with."""
        ...

    def mean_action(self) -> Tensor:
        """The action `(A,)` whose target is the clips' mean pose, to initialise a policy."""
        ...


_USED = (
    "library",
    "style_windows",
    "start_clip",
    "start_time_s",
    "start_weights",
    "reference_clip",
    "recovering",
    "repeats",
    "history",
    "tracking",
    "follow",
    "release",
    "set_goals",
    "lead_to",
    "posture_change_m",
    "tracking_distance_m",
    "reference_observation",
    "clip_action",
)


def imitation_task(env: Env) -> ImitationTask:
    """The imitation task inside an environment.

    Raises:
        ConfigError: the environment's task has no motions to imitate.
    """
    task = env.task if isinstance(env, TaskEnv) else None
    if not all(hasattr(task, name) for name in _USED):
        raise ConfigError(
            f"train.name=skills needs a task with motions to imitate ({', '.join(_USED)}), such as task=HumanoidAMP"
        )
    return cast(ImitationTask, task)


class Demonstrations:
    """S motion segments, each with K windows drawn from it.

    Args:
        task: has the clips.
        windows: K.
        segment_s: clips longer than this are cut into segments of about this length.
        generator: source of randomness.
        rising_apart: clips that begin or end on the floor are no segments. Those that only lead from one motion to
            another never are.

    Attributes:
        names: of the segments: the clip's name, with a running number where it was cut.
        commanded: `(C,)` which clips have segments.
        windows: `(S, K, W * style_size)`.
        rising: `(R, W * style_size)` windows of the clips that begin or end on the floor; None without any, or if these
            are segments.
        clips: `(S,)` clip of each segment.
        begin_s, end_s: `(S,)` its part of the clip.
        weights: `(S,)` share of each segment, summing to one.
        features: `(S, 2 * style_size)` mean and standard deviation of the newest frames.
        scale: `(2 * style_size,)` divisor of the features in distances, see `_scale`.
    """

    def __init__(
        self,
        task: ImitationTask,
        windows: int,
        segment_s: float,
        generator: torch.Generator,
        rising_apart: bool = False,
    ) -> None:
        library = task.library
        rising = task.lying_clips if rising_apart else torch.zeros_like(library.loops)
        apart = rising | ~library.commands
        if bool(apart.all()):
            raise ConfigError(
                "there is no motion to command: all clips lie on the floor (train.rising.separate=true) or have"
                " command: false"
            )
        self._size = task.style_size
        durations = library.durations_s
        counts = (durations / segment_s).ceil().clamp_min(1).long()
        self._lengths = durations / counts
        counts = counts.masked_fill(apart, 0)
        self._counts, self._first = counts, counts.cumsum(0) - counts
        clip = torch.repeat_interleave(torch.arange(library.num_clips, device=durations.device), counts)
        index = torch.arange(len(clip), device=clip.device) - self._first[clip]
        self.names = tuple(
            library.names[c] if counts[c] == 1 else f"{library.names[c]}#{i}"
            for c, i in zip(clip.tolist(), index.tolist(), strict=True)
        )
        self.clips, self.commanded = clip, ~apart
        self.weights = library.weights[clip] / counts[clip]
        self.weights = self.weights / self.weights.sum()
        self.begin_s, self.end_s = index * self._lengths[clip], (index + 1) * self._lengths[clip]
        drawn = torch.rand(len(clip), windows, generator=generator, device=clip.device)
        length = self._lengths[clip]
        # a window cannot reach back beyond the beginning of a clip that does not loop
        margin = ((index == 0) & ~library.loops[clip]) * torch.clamp(length, max=task.window_s)
        times = (self.begin_s + margin).unsqueeze(1) + drawn * (length - margin).unsqueeze(1)
        ids = clip.unsqueeze(1).expand(-1, windows)
        self.windows = torch.stack([task.style_windows(i, t) for i, t in zip(ids, times, strict=True)])
        self.rising: Tensor | None = None
        if bool(rising.any()):
            ids = rising.nonzero()[:, 0].repeat_interleave(windows)
            self.rising = task.style_windows(ids, library.sample_times(ids, generator, task.window_s))
        frames = self.windows[..., : self._size]
        self.features = style_features(frames.mean(1), frames.square().mean(1))
        self.scale = _scale(frames.flatten(0, 1).std(0), [size for _, size, _ in task.style_layout])

    def segment_of(self, clip_ids: Tensor, times_s: Tensor) -> Tensor:
        """Index `(n,)` of the segment at a time of a clip; for clips without segments (`commanded`), any."""
        index = torch.minimum((times_s / self._lengths[clip_ids]).long(), self._counts[clip_ids] - 1)
        return (self._first[clip_ids] + index.clamp_min(0)).clamp_max(len(self.names) - 1)

    def draw_rising(self, n: int, generator: torch.Generator) -> Tensor:
        """Random windows `(n, W * style_size)` of `rising`."""
        assert self.rising is not None
        row = torch.randint(len(self.rising), (n,), generator=generator, device=self.rising.device)
        return self.rising.index_select(0, row)

    def draw(self, segments: Tensor, generator: torch.Generator) -> Tensor:
        """One random window `(n, W * style_size)` of each segment of `segments (n,)`."""
        row = torch.randint(self.windows.shape[1], segments.shape, generator=generator, device=segments.device)
        return self.windows.flatten(0, 1).index_select(0, segments * self.windows.shape[1] + row)


def _scale(deviation: Tensor, group_sizes: list[int]) -> Tensor:
    """Divisor `(2 S,)` of features: standard deviations `(S,)` of the style frame, twice, weighted by group sizes.

    Every group of the style frame gets the same weight. Otherwise a hundred joint features outweigh the six of the
    root's velocity, and a straight walk differs from a curve mostly by its elbows.
    """
    sizes = torch.tensor(group_sizes, dtype=deviation.dtype, device=deviation.device)
    share = sizes * len(group_sizes) / sizes.sum()
    scale = deviation.clamp_min(_MIN_DEVIATION) * share.repeat_interleave(sizes.long()).sqrt()
    return torch.cat((scale, scale))
