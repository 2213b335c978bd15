"""What the adapters share."""

import math

import pytest
from gymnasium.spaces import Box, Discrete

import isaachrl
from isaachrl.adapters.shared import imports, spaces
from isaachrl.errors import ConfigError
from tests.adapters.clock import Clock
from tests.small_mdp import corridor


def test_a_missing_library_is_answered_with_the_extra():
    with pytest.raises(ConfigError, match=r'isaachrl.adapters.skrl needs .*\.\[skrl\]"'), imports("skrl"):
        import no_such_library  # noqa: F401


def test_actions_are_discrete_where_they_have_numbers():
    assert spaces(corridor())[1] == Discrete(3)
    assert spaces(Clock())[1] == Box(-1.0, 1.0, (1,))


def test_a_limit_of_the_contract_is_that_of_the_space():
    env = isaachrl.make("ShipSteering", device="cpu")
    (high,) = spaces(env)[1].high
    assert high == pytest.approx(math.radians(15.0)) and high == pytest.approx(env.action_extent[1])
