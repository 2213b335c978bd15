"""Trainings that diverge end with an error before anything that is not finite is written."""

import pytest

from tests.chaos import child, state

pytestmark = pytest.mark.chaos(quick=2)

STEEP = "train.learning_rate=1e30"
CASES = {
    "amp": f"task=HumanoidAMP num_envs=4 motion=walk train.learning_rate=1000 train.target_kl=0 {STEEP}",
    "ase": f"task=HumanoidAMP num_envs=4 motion=walk train.latents=ase train.target_kl=0 {STEEP}",
    "discriminator": "task=HumanoidAMP num_envs=4 motion=walk train.discriminator.learning_rate=1e30",
    "ppo": f"task=HumanoidHRLMaze num_envs=4 {STEEP} train.max_learning_rate=1e30 train.kl_target=1e30",
    "flat ppo": f"task=AntMaze train=ppo num_envs=4 {STEEP} train.max_learning_rate=1e30 train.kl_target=1e30",
    "hpg": f"task=TaxiFuel train=hpg num_envs=4 {STEEP}",
    "hiro": "task=AntMaze train=hiro num_envs=4 train.warmup_steps=20"
    " train.worker.actor_learning_rate=1e30 train.worker.critic_learning_rate=1e30"
    " train.manager.critic_learning_rate=1e30",
    "flat td3": "task=AntMaze train=td3 num_envs=4 train.warmup_steps=20"
    " train.worker.actor_learning_rate=1e30 train.worker.critic_learning_rate=1e30",
    "sac": "task=AntMaze train=sac num_envs=4 train.warmup_steps=20"
    " train.worker.actor_learning_rate=1e30 train.worker.critic_learning_rate=1e30",
    "reward": "task=HumanoidHRLMaze num_envs=4 task.reward.progress=1e38 task.reward.time=-1e38",
}


@pytest.mark.parametrize("name", CASES)
def test_a_diverging_training_keeps_the_last_good_file(name, tmp_path, tally):
    folder = tmp_path / "run"
    arguments = f"{CASES[name]} max_iterations=12 run_dir={folder}"
    code, output = child.finished(tmp_path / "cwd", arguments)
    if code == 0:  # it survived
        tally.lost("stayed finite")
    else:
        tally.check(state.refusal(code, output))
    if folder.exists():
        wrong = state.whole(folder) + state.spoilt(folder)
        assert not wrong, wrong
