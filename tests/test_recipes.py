"""What the recipes of the pretraining set."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import tasks
from isaachrl.run.config.settings import resolve

assert tasks
ROOT = Path(__file__).resolve().parents[1]


def settled(recipe):
    train = OmegaConf.to_container(OmegaConf.load(ROOT / "cfg" / "train" / "HumanoidAMP.yaml"))
    values = {"task": {"name": "HumanoidAMP"}, "train": train, "device": "cpu", "recipe": recipe}
    return resolve(values, {"recipe": recipe})


def test_the_recipe_for_gpus_is_that_of_cpus_with_other_sizes():
    cpu, gpu = (settled(name).plain() for name in ("cpu", "gpu"))
    differing = {key for key in cpu["train"] if cpu["train"][key] != gpu["train"][key]}
    assert differing == {"horizon", "minibatch", "hidden"}
    assert cpu["task"] == gpu["task"]
    assert (gpu["num_envs"], gpu["train"]["horizon"], gpu["train"]["hidden"]) == (4096, 16, [512, 256])
    rows = {name: one["num_envs"] * one["train"]["horizon"] for name, one in (("cpu", cpu), ("gpu", gpu))}
    assert rows["cpu"] % cpu["train"]["minibatch"] == rows["gpu"] % gpu["train"]["minibatch"] == 0


@pytest.mark.parametrize("key", ["epochs", "learning_rate", "hidden", "discriminator"])
def test_the_published_sizes_are_a_recipe_of_their_own(key):
    paper, gpu = settled("paper"), settled("gpu")
    assert paper.plain()["train"][key] != gpu.plain()["train"][key]
    assert paper.task_cfg.style_frames == 10 and paper.num_envs == 4096
    assert (paper.learner_cfg.epochs, paper.learner_cfg.learning_rate) == (6, 2e-5)


def test_the_skill_of_twenty_motions_differs_from_cpus_in_what_it_learns():
    cpu, versatile = (settled(name).plain() for name in ("cpu", "versatile"))
    differing = {key for key in cpu["train"] if cpu["train"][key] != versatile["train"][key]}
    assert differing == {
        "anneal_from", "anneal_to", "discount", "distillation", "hidden", "latent", "log_std", "log_std_end",
        "max_iterations", "push_end", "reward", "rising",
    }  # fmt: skip
    gpu = settled("versatile_gpu").plain()
    differing = {key for key in gpu["train"] if gpu["train"][key] != versatile["train"][key]}
    assert differing == {"distillation", "max_iterations", "minibatch"} and gpu["task"] == versatile["task"]
    assert versatile["task"]["motion"] == "versatile" and versatile["task"]["fallen"]["share"] == 0.2
    assert versatile["train"]["rising"]["teacher"] == "rising" and cpu["train"]["rising"]["teacher"] is None
