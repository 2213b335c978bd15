"""A point on a plane that moves to a target: the smallest environment for goals."""

import io

import torch

from isaachrl import config
from isaachrl.envs import Env, StepResult
from isaachrl.learn.goals import GoalsCfg, GoalsLearner

STEP_M = 0.5


class PlaneTask:
    """A `GoalTask`; the environment itself is `world`."""

    position_size = 2
    context_scale = 10.0

    def __init__(self, world):
        self.world = world
        self.action_limits, self.goal_limits = torch.full((2,), 2.0), torch.tensor([3.0, 3.0, 1.0])
        self.state_scale = torch.tensor([4.0, 4.0, 1.0, 1.0])

    @property
    def terminates(self):
        return self.world.fail_beyond < 1e8

    def flipped(self):
        return self.world.pos[:, 1] > self.world.flip_above

    def context_reward(self, state, context):
        return -(state[..., :2] - context).norm(dim=-1)

    def draw_contexts(self, count, generator):
        return 8.0 * torch.rand(count, 2, generator=generator) - 4.0


class Plane(Env):
    """State: position, steps since the start, a sine of the position. Too far to the right the episode terminates."""

    def __init__(self, num_envs=4, seed=0, episode_steps=12, lengths=(), fail_beyond=1e9, flip_above=1e9):
        self.num_envs, self.device, self.episode_steps = num_envs, torch.device("cpu"), episode_steps
        self.generator = torch.Generator().manual_seed(seed)
        self.obs_sizes, self.policy_groups, self.action_size = {"state": 4, "context": 2}, ("state", "context"), 2
        self.lengths = torch.tensor(
            [(list(lengths) or [episode_steps])[i % max(len(lengths), 1)] for i in range(num_envs)]
        )
        self.fail_beyond, self.flip_above = fail_beyond, flip_above
        self.pos, self.target = torch.zeros(num_envs, 2), torch.zeros(num_envs, 2)
        self.time, self.episode = (torch.zeros(num_envs, dtype=torch.long) for _ in range(2))
        self.task = PlaneTask(self)
        self.reset()

    def evaluation_twin(self, num_envs, seed):
        return Plane(num_envs, seed, self.episode_steps)

    def reset(self):
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool))

    def advance(self, action):
        self.pos = self.pos + STEP_M * action.clamp(-1, 1)
        self.time = self.time + 1
        terminated = self.pos[:, 0] > self.fail_beyond
        reward = self.task.context_reward(self.pos, self.target)
        return StepResult(
            obs=self.observe(), reward=reward, terminated=terminated,
            truncated=(self.time >= self.lengths) & ~terminated, terminal_obs=self.observe(),
            terms={"distance": reward}, metrics={"success_rate": (reward > -0.75).float()},
            discount_steps=torch.ones(self.num_envs),
        )  # fmt: skip

    def reset_where(self, mask):
        start = 100.0 * self.episode.float().unsqueeze(1) % 200.0  # far from where the last episode was
        start = start + torch.rand(self.num_envs, 2, generator=self.generator) - 0.5
        start = start if self.fail_beyond < 1e8 or len(set(self.lengths.tolist())) > 1 else start % 1.0
        self.pos = torch.where(mask.unsqueeze(1), start, self.pos)
        target = self.task.draw_contexts(self.num_envs, self.generator)
        self.target = torch.where(mask.unsqueeze(1), target, self.target)
        self.time, self.episode = self.time.masked_fill(mask, 0), self.episode + mask
        return self.observe()

    def observe(self):
        sine = torch.sin(3.0 * self.pos[:, :1])
        return {"state": torch.cat((self.pos, 0.1 * self.time[:, None], sine), 1), "context": self.target.clone()}

    def state_dict(self):
        names = ("pos", "target", "time", "episode")
        return {name: getattr(self, name).clone() for name in names} | {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        for name in ("pos", "target", "time", "episode"):
            setattr(self, name, state[name].clone())
        self.generator.set_state(state["generator"])


SMALL_LEVEL = {"hidden": [16, 16], "batch": 16, "updates_per_step": 1}
SMALL = {
    "meta_periods": [4], "goal_size": 2, "steps_per_iteration": 8, "warmup_steps": 8, "replay_steps": 800,
    "eval_every": 0, "worker": SMALL_LEVEL, "manager": SMALL_LEVEL | {"reward_scale": 0.1},
}  # fmt: skip


def make_learner(env=None, seed=0, **changes):
    """A small learner; `worker` and `manager` add to the small levels."""
    values = SMALL | changes
    for level in ("worker", "manager"):
        values[level] = SMALL[level] | changes.get(level, {})
    return GoalsLearner(env or Plane(seed=seed), config.build(GoalsCfg, values), seed)


def goes_on_alike(straight, other):
    """Stop one learner after three iterations, hand its stored state to the other: both must go on the same."""
    for _ in range(3):
        straight.iterate()
    file = io.BytesIO()
    torch.save({"learner": straight.state_dict(), "env": straight.env.state_dict()}, file)
    expected = [straight.iterate() for _ in range(2)]
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other.env.load_state_dict(state["env"])
    other.load_state_dict(state["learner"])
    assert [other.iterate() for _ in range(2)] == expected


SAC = {"algorithm": "sac"}
SOFT = {"worker": SAC, "manager": SAC}


def flat_learner(env=None, seed=0, worker=None, **changes):
    """A small learner without managers."""
    values = {"steps_per_iteration": 8, "warmup_steps": 8, "replay_steps": 400, "eval_every": 0}
    values |= {"meta_periods": [], "correction": "none", "worker": SMALL_LEVEL | (worker or {})}
    return GoalsLearner(env or Plane(seed=seed), config.build(GoalsCfg, values | changes), seed)


def collect(learner, steps):
    for _ in range(steps):
        learner.collector.step()


def connected_learner(mode, **connection):
    """A small learner with a connection and a few stored segments; `worker` and `manager` as in `make_learner`."""
    levels = {name: connection.pop(name) for name in ("worker", "manager") if name in connection}
    learner = make_learner(correction="none", connection={"mode": mode, **connection}, **levels)
    collect(learner, 12)
    return learner


def weights(learner):
    """Copies of all parameters of all levels."""
    return [p.detach().clone() for level in learner.levels.all for p in
            (*level.actor.parameters(), *level.critics.parameters(), *level.targets.parameters())]  # fmt: skip


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def segments(learner):
    """The stored segments, one dict each."""
    count = min(int(learner.replays[0].written), learner.replays[0].capacity)
    return [{name: values[i] for name, values in learner.replays[0].data.items()} for i in range(count)]
