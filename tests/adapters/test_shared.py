"""What the adapters share."""

import math
import tomllib
from pathlib import Path

import pytest
from gymnasium.spaces import Box, Discrete

import isaachrl
from isaachrl.adapters.shared import imports, spaces
from isaachrl.errors import ConfigError
from tests.adapters.clock import Clock
from tests.small_mdp import corridor

ROOT = Path(__file__).resolve().parents[2]


def test_a_missing_library_is_answered_with_the_extra():
    with pytest.raises(ConfigError, match=r'isaachrl.adapters.rsl_rl needs .*\.\[rsl-rl\]"'), imports("rsl_rl"):
        import no_such_library  # noqa: F401


def test_extras_are_spelt_as_metadata_spell_them():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    adapters = [path.stem for path in (ROOT / "isaachrl" / "adapters").glob("*.py") if path.stem != "shared"]
    own = {name.replace("_", "-") for name in adapters if name not in ("__init__", "gymnasium_single")}
    assert own <= set(extras) and not [name for name in extras if "_" in name]


def test_actions_are_discrete_where_they_have_numbers():
    assert spaces(corridor())[1] == Discrete(3)
    assert spaces(Clock())[1] == Box(-1.0, 1.0, (1,))


def test_a_limit_of_the_contract_is_that_of_the_space():
    env = isaachrl.make("ShipSteering", device="cpu")
    (high,) = spaces(env)[1].high
    assert high == pytest.approx(math.radians(15.0)) and high == pytest.approx(env.action_extent[1])
