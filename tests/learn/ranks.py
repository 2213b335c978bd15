"""What two processes do together in the tests of distributed training; every rank leaves what it found in a file."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

import isaachrl
import tasks
from isaachrl import config
from isaachrl.errors import IsaacHRLError
from isaachrl.learn import collectives, distributed
from isaachrl.learn.ppo import PpoCfg
from isaachrl.learn.ppo.learner import PpoLearner
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.learn.skills.losses import gaussian_log_prob
from isaachrl.learn.skills.update import Signals
from isaachrl.nn import RunningNorm
from isaachrl.run import dispatch as commands
from isaachrl.run.config import settings
from tests.run import point
from tests.small_learner import SMALL

assert tasks

ENVS = 8  # of all ranks together
WHOLE = {"minibatch": 10**6, "discriminator": {**SMALL["discriminator"], "rows": 10**6}}


def small(latents, **changes):
    """A skills learner on this rank's share of the environments."""
    envs = distributed.own_share(ENVS, "num_envs")
    cfg, seed = {"task": {"style_frames": 2}}, distributed.own_seed(0)
    env = isaachrl.make("HumanoidAMP", num_envs=envs, device="cpu", seed=seed, cfg=cfg)
    values = SMALL | {"latents": latents, "precision": "float32"} | changes
    return SkillsLearner(env, config.build(SkillsCfg, values), 0)


def weights(learner):
    """Everything that an update changes, copied."""
    parts = {"skill": learner.skill, "critic": learner.critic, "value_norm": learner.value_norm}
    return {f"{part}.{k}": v.clone() for part, module in parts.items() for k, v in module.state_dict().items()}


def one_update():
    """Learn from a rollout that is the same however many ranks share it; weights before and after."""
    learner = small("ase", epochs=2, diversity=0.0, deterministic_share=0.25, **WHOLE)
    mine = slice(distributed.rank() * learner.env.num_envs, (distributed.rank() + 1) * learner.env.num_envs)
    given = torch.Generator().manual_seed(5)
    data, horizon = learner.rollout, learner.cfg.horizon

    def random(*shape):
        return torch.randn(*shape, generator=given)

    for name in ("obs", "next_obs", "window", "latent", "value", "task_reward"):
        data[name].copy_(random(horizon, ENVS, *data[name].shape[2:])[:, mine])
    data["latent"].copy_(torch.nn.functional.normalize(data["latent"], dim=-1))
    data["explores"].copy_((random(horizon, ENVS) > -0.5)[:, mine])  # not equally many on each rank
    data["terminated"].copy_((random(horizon, ENVS) > 1.5)[:, mine])
    data["truncated"].copy_((random(horizon, ENVS) > 1.5)[:, mine] & ~data["terminated"])
    learner.obs = {"proprioception": random(ENVS, data["obs"].shape[-1])[mine]}
    learner.held.latent = data["latent"][-1].clone()
    answer = random(data["latent"].shape[-1], data["window"].shape[-1])
    learner.source.demonstrations = lambda latent: latent @ answer
    learner.skill.obs_norm.load_state_dict(RunningNorm(data["obs"].shape[-1]).state_dict())
    collectives.update_norm(learner.skill.obs_norm, data["next_obs"])
    with torch.no_grad():
        data["mean"].copy_(learner.skill.actor(learner.skill.obs_norm(data["obs"]), data["latent"]))
    data["action"].copy_(data["mean"] + 0.05 * random(horizon, ENVS, data["mean"].shape[-1])[:, mine])
    data["log_prob"].copy_(gaussian_log_prob(data["action"], data["mean"], learner.policy_update.log_std))
    before = weights(learner)
    signals = Signals.empty()
    learner._learn(signals)
    return {"before": before, "after": weights(learner), "signals": collectives.mean_signals(signals.means())}


def some_iterations():
    """What the ranks of a skills training have in common after a while, and what they do not."""
    learner = small("motion")
    signals = [learner.iterate() for _ in range(3)]
    return {
        "weights": weights(learner),
        "optimizer": learner.policy_update.optimizer.state_dict(),
        "signals": signals,
        "qpos": learner.env.sim.qpos.clone(),
        "latent": learner.held.latent.clone(),
        "replay": learner.discriminator.replay.window.clone(),
        "samples": learner.samples,
        "log": learner.policy_update.learning_rate,
    }


def some_ppo():
    """The same of rl_games' PPO."""
    point.register_all()
    generator = torch.Generator().manual_seed(distributed.own_seed(1))
    envs = distributed.own_share(32, "num_envs")
    env = point.Point(point.PointCfg(), isaachrl.envs.registry.World(envs, "auto", torch.device("cpu"), generator))
    cfg = PpoCfg(hidden=[16], horizon=8, minibatch=64, log_std=-1.0, kl_target=0.001, learn_std=True)
    learner = PpoLearner(env, cfg, seed=0)
    torch.manual_seed(distributed.own_seed(0))
    start = learner.agent.model.running_mean_std.running_mean.clone()
    signals = [learner.iterate() for _ in range(4)]
    return {
        "model": {k: v.clone() for k, v in learner.agent.model.state_dict().items()},
        "moved": not torch.equal(start, learner.agent.model.running_mean_std.running_mean),
        "minibatches": len(learner.agent.dataset),
        "signals": signals,
        "pos": env.pos.clone(),
        "samples": learner.samples,
        "rates": [group["lr"] for group in learner.agent.optimizer.param_groups],
    }


def small_parts():
    """The functions one by one, on numbers to be worked by hand."""
    number = float(distributed.rank())
    mean, var = torch.tensor([2.0 * number]), torch.tensor([1.0 + number])
    collectives.pool_moments(mean, var)
    weight = torch.nn.Parameter(torch.zeros(2))
    unused = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([number, 4.0 - number])
    collectives.average_gradients([weight, unused])
    module = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(module.weight, 7.0 + number)
    collectives.copy_from_first(module)
    generator = torch.Generator().manual_seed(3)
    distributed.decorrelate_seed(generator)
    return {
        "mean": collectives.mean(torch.tensor([number, 5.0])),
        "pooled": (mean, var),
        "gradient": weight.grad,
        "weight": module.weight.item(),
        "drawn": torch.rand(3, generator=generator),
        "signals": collectives.mean_signals({"both": number, f"only {number:.0f}": 3.0}),
        "gathered": collectives.gather({"rank": distributed.rank(), "x": torch.ones(1)}),
        "greatest": collectives.max_over_ranks(number == 1.0, 3 + int(number)),
        "part": distributed.own_part(torch.arange(5)),
    }


def runs(folder):
    """Whole trainings: uninterrupted, and stopped and resumed; and what is refused."""

    ppo = {"name": "ppo", "hidden": [8], "horizon": 4, "minibatch": 16}

    def launch(train=ppo, **typed):
        sections = {"task": {"name": "Point"}, "train": train}
        values = settings.merge({"num_envs": 8, "device": "cpu"}, typed)
        return commands.dispatch(settings.resolve(settings.merge(sections, values), values))

    def refusal(**typed):
        try:
            launch(**typed)
        except IsaacHRLError as error:
            return str(error)
        return ""

    found = [launch(max_iterations=4, run_dir=f"{folder}/whole"), launch(max_iterations=2, run_dir=f"{folder}/parts")]
    dist.barrier()  # the second rank does not wait for the first one's last file
    found.append(launch(resume=f"{folder}/parts", max_iterations=4))
    dist.barrier()
    refused = {
        "share": refusal(num_envs=7, max_iterations=1),
        "learner": refusal(train={"name": "greedy"}, max_iterations=1),
        "mode": refusal(mode="evaluate", checkpoint=f"{folder}/whole"),
    }
    return {"folders": [str(path) for path in found], "refused": refused}


def work(rank, size, folder):
    """All of it on one rank."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size, timeout=timedelta(seconds=120)
    )
    found = {"parts": small_parts(), "update": one_update(), "skills": some_iterations(), "ppo": some_ppo()}
    found["runs"] = runs(folder)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
