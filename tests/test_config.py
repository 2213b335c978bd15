"""What a configuration refuses, and that it takes strings as they are written."""

import math
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar

import pytest

import tasks
from isaachrl import config
from isaachrl.config import bounded, layers, positive
from isaachrl.envs import registry
from isaachrl.errors import ConfigError
from isaachrl.learn.registry import learner_entry
from isaachrl.run.config.learners import load_learners
from isaachrl.run.config.settings import RunCfg

assert tasks
load_learners()


class Colour(Enum):
    red = "red"


@dataclass
class Inner:
    rate: float = bounded(0.5, 0.0, 1.0)
    seen_m: float = bounded(math.inf, 0.0, math.inf)
    scale: float = positive(2.0, 5.0)
    name: str = "x"


@dataclass
class Outer:
    steps: int = 3
    weight: float = 2.0
    widths: list[int] = layers(8, 4)
    limits: dict[str, float] = bounded({"head": 0.8}, 0.0, 2.0)
    anything: Any = bounded(10, high=100)
    least: float | None = None
    open: dict[str, Any] = field(default_factory=dict)
    colour: Colour = Colour.red
    inner: Inner = field(default_factory=Inner)
    __test__ = False


@dataclass
class Other(Outer):
    steps: int = bounded(5, 1, 9)
    anything: Any = 20


def refused(values, message, schema: type = Outer):
    with pytest.raises(ConfigError) as caught:
        config.build(schema, values, "task")
    assert message in str(caught.value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, "nan", "inf", 1e300])
def test_numbers_that_are_not_finite_or_huge_are_refused_wherever_they_stand(number):
    refused({"weight": number}, "expected a number from -1e+09 to 1e+09; type task.weight=2")
    refused({"limits": {"foot": number}}, "expected a number from 0 to 2; leave task.limits.foot out for the default")
    refused({"limits": {"head": number}}, "type task.limits.head=0.8")
    refused({"inner": {"rate": number}}, "expected a number from 0 to 1; type task.inner.rate=0.5")
    refused({"least": number}, "task.least=")


def test_whole_numbers_lists_and_untyped_values_have_bounds_too():
    refused({"steps": 10**10}, "task.steps=10000000000: expected a number")
    refused({"widths": [10**9]}, "task.widths=1000000000: expected a number from 1 to 8192")
    refused({"widths": [1] * 65}, "task.widths has 65 entries: expected at most 64")
    refused({"widths": []}, "task.widths=[]: expected 1 or more entries, such as [8, 4]")
    refused({"widths": [0]}, "task.widths=0: expected a number from 1 to 8192")
    refused({"anything": [3, 10**6]}, "task.anything=1000000")
    refused({"anything": math.nan}, "task.anything=nan")


def test_infinity_goes_where_the_range_reaches_there_and_nan_nowhere():
    assert config.build(Outer, {}).inner.seen_m == math.inf
    assert config.build(Outer, {"inner": {"seen_m": "inf"}}).inner.seen_m == math.inf
    refused({"inner": {"seen_m": math.nan}}, "task.inner.seen_m=nan: expected a number from 0 to inf")


@dataclass
class Wide:
    limit: float = math.inf
    bits: int = 2**40
    points: list[int] = field(default_factory=lambda: list(range(100)))


def test_a_default_needs_no_range():
    assert config.build(Wide, {}) == config.build(Wide, {"limit": "inf"}) == Wide()
    refused({"bits": 2**41}, "task.bits=2199023255552: expected a number", Wide)
    refused({"limit": math.nan}, "task.limit=nan: expected a number", Wide)


def test_a_positive_number_is_not_zero():
    refused({"inner": {"scale": 0}}, "task.inner.scale=0.0: expected a number from 1e-12 to 5; type task.inner.scale=2")
    assert config.build(Outer, {"inner": {"scale": 1e-9}}).inner.scale == 1e-9


def test_another_default_keeps_the_range_and_another_range_replaces_it():
    refused({"anything": 101}, "task.anything=101: expected a number from -1e+09 to 100; type task.anything=20", Other)
    refused({"steps": 10}, "expected a number from 1 to 9; type task.steps=5", Other)


def test_a_default_that_is_a_list_is_copied():
    one, other = config.build(Outer, {}), Outer()
    one.widths.append(1), one.limits.clear()
    assert other.widths == Outer().widths == [8, 4] and other.limits == {"head": 0.8}


@pytest.mark.parametrize(
    "text", ["${oc.env:SECRET}", "a${x}b", "${", "\\${x}", "\\\\${oc.env:SECRET}\\", "$HOME ${a}${b", "${now:%Y}", "$"]
)
def test_strings_are_taken_as_they_are_written(monkeypatch, text):
    monkeypatch.setenv("SECRET", "hunter2")
    built = config.build(Outer, {"inner": {"name": text}, "open": {"a": [text, {"b": text}]}})
    assert built.inner.name == text and built.open == {"a": [text, {"b": text}]}


def test_an_interpolation_is_not_a_number():
    with pytest.raises(ConfigError, match=r"^task.steps: Value '\$\{seed\}' of type 'str' could not be converted"):
        config.build(Outer, {"steps": "${seed}"}, "task")


def cfg_types():
    """Every configuration that can be typed, by the place of its keys."""
    yield "run", RunCfg
    yield from ((f"task.{name}", registry.entry(name).cfg_type) for name in registry.names())
    names = (
        "skills",
        "ppo",
        "goals",
        "td3",
        "sac",
        "hpg",
        "maxq",
        "flat_q",
        "hybrid",
        "flat_pg",
        "actor_critic",
        "subgoals",
        "rsl_rl",
        "skrl",
    )
    yield from ((f"train.{name}", learner_entry(name).cfg_type) for name in (*names, "value_iteration"))


@pytest.mark.parametrize(("place", "schema"), list(cfg_types()))
def test_no_field_takes_a_number_that_is_not_finite(place, schema):
    numbers = [f.name for f in fields(schema) if isinstance(f.default, float)]
    assert config.build(schema, {}) is not None
    for name in numbers:
        for value in (math.nan, math.inf):
            refused({name: value}, f"task.{name}={value}: expected a number", schema)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("HumanoidAMP", {"timestep_s": math.inf}, "task.timestep_s=inf"),
        ("HumanoidAMP", {"timestep_s": 10.0}, "task.timestep_s=10.0: expected a number from 1e-12 to 0.1"),
        ("HumanoidAMP", {"style_frames": 1000}, "task.style_frames=1000"),
        ("HumanoidAMP", {"min_height_m": {"head": 5}}, "task.min_height_m.head=5.0"),
        ("HumanoidAMP", {"min_height_m": {"head": math.nan}}, "task.min_height_m.head=nan"),
        ("HumanoidAMP", {"track_within_m": 1e9}, "task.track_within_m=1000000000.0"),
        ("HumanoidRise", {"track_within_m": math.nan}, "task.track_within_m=nan: expected a number from 0 to 10"),
        ("HumanoidAMP", {"disturb": {"push": 1e9}}, "task.disturb.push=1000000000.0"),
        ("HumanoidAMP", {"disturb": {"rough_m": 100}}, "task.disturb.rough_m=100.0"),
        ("HumanoidAMP", {"reward": {"alive": math.nan}}, "task.reward.alive=nan"),
        (
            "HumanoidHRLMaze",
            {"reward": {"progress": math.inf}},
            "task.reward.progress=inf: expected a number from -1e+06",
        ),
        ("HumanoidHRLMaze", {"cell_m": 1e9}, "task.cell_m=1000000000.0"),
        ("HumanoidHRLMaze", {"hierarchy": {"steps": 100000}}, "task.hierarchy.steps=100000"),
        ("HumanoidHRLMaze", {"hierarchy": {"style_weight": math.nan}}, "task.hierarchy.style_weight=nan"),
        ("TaxiFuel", {"capacity": 10**8}, "task.capacity=100000000"),
    ],
)
def test_absurd_tasks_are_refused(name, values, message):
    with pytest.raises(ConfigError) as caught:
        config.build(registry.entry(name).cfg_type, values, "task")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("skills", {"hidden": [10**9]}, "train.hidden=1000000000"),
        ("skills", {"log_std": math.nan}, "train.log_std=nan"),
        ("skills", {"learning_rate": math.inf}, "train.learning_rate=inf"),
        ("skills", {"target_kl": -1.0}, "train.target_kl=-1.0: expected a number from 0 to"),
        ("skills", {"reward": {"style": math.nan}}, "train.reward.style=nan"),
        ("skills", {"latent": {"at_clip": math.nan}}, "train.latent.at_clip=nan"),
        ("skills", {"discriminator": {"gradient_penalty": math.nan}}, "train.discriminator.gradient_penalty=nan"),
        ("ppo", {"log_std": 100}, "train.log_std=100.0: expected a number from -20 to 5; type train.log_std=-2.3"),
        ("ppo", {"entropy_weight": math.nan}, "train.entropy_weight=nan"),
        ("ppo", {"entropy_weight": -1.0}, "train.entropy_weight=-1.0"),
        ("goals", {"manager": {"batch": 10**8}}, "train.manager.batch=100000000"),
        ("goals", {"replay_steps": 10**11}, "train.replay_steps=100000000000"),
        ("goals", {"worker": {"actor_learning_rate": math.nan}}, "train.worker.actor_learning_rate=nan"),
        ("goals", {"worker": {"updates_per_step": math.nan}}, "train.worker.updates_per_step=nan"),
        ("goals", {"flips": {"penalty": math.nan}}, "train.flips.penalty=nan"),
        ("hpg", {"learning_rate": 1e30}, "train.learning_rate=1e+30"),
        ("maxq", {"initial": math.nan}, "train.initial=nan"),
    ],
)
def test_absurd_learners_are_refused(name, values, message):
    with pytest.raises(ConfigError) as caught:
        config.build(learner_entry(name).cfg_type, values, "train")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("seed", [2**64, 2**63, -1, math.inf])
def test_seeds_that_no_generator_takes_are_refused(seed):
    with pytest.raises(ConfigError, match="^seed"):
        config.build(RunCfg, {"seed": seed})
    assert config.build(RunCfg, {"seed": 2**63 - 1}).seed == 2**63 - 1


@dataclass
class _Renamed:
    RENAMED: ClassVar[dict[str, str]] = {"pace": "velocity", "switch": ""}

    velocity: float = 0.5


@dataclass
class _Holder:
    reward: _Renamed = field(default_factory=_Renamed)


def test_a_renamed_key_is_answered_with_its_new_name():
    with pytest.raises(ConfigError, match=r"train\.reward\.pace is called train\.reward\.velocity now"):
        config.build(_Holder, {"reward": {"pace": 1.0}}, "train")
    with pytest.raises(ConfigError, match=r"reward\.switch was removed; leave it out"):
        config.build(_Holder, {"reward": {"switch": True}})
    with pytest.raises(ConfigError, match=r"unknown key reward\.place; .*valid: velocity"):
        config.build(_Holder, {"reward": {"place": 1.0}})


def test_one_value_for_a_list_is_answered_with_the_list():
    with pytest.raises(ConfigError, match=r"train\.hidden=64: expected a list, type train\.hidden=\[64\]"):
        config.build(learner_entry("ppo").cfg_type, {"hidden": 64}, "train")
