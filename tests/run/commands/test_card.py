"""`mode=card` writes a page, a picture and a line of JSON; what it measures is tested with the measures."""

import json
from dataclasses import replace

import pytest

import tasks
from isaachrl.errors import ConfigError, RenderError
from isaachrl.learn import skills
from isaachrl.run import dispatch
from isaachrl.run.commands import card as command
from isaachrl.run.config import settings
from tests.run.card.test_page import MEASURES
from tests.tiny_skill import make_tiny_skill

assert tasks and skills


@pytest.fixture
def resolved(tmp_path):
    """`resolved(**typed)`: the settings of a card of a tiny skill."""
    skill = make_tiny_skill(latent_size=0)
    path = tmp_path / "tiny.pt"
    type(skill)(replace(skill.contract, motions=["walk"], training={"motion": "walk"})).save(path)

    def resolve(**typed):
        typed = {"mode": "card", "checkpoint": str(path), "device": "cpu", "num_envs": 2, **typed}
        return settings.resolve(typed, typed)

    return resolve


def test_the_command_writes_page_picture_and_json(resolved, monkeypatch, tmp_path, capsys):
    def no_picture(*_):
        raise RenderError("no OpenGL here")

    monkeypatch.setattr(command, "measure", lambda evaluation: dict(MEASURES))
    monkeypatch.setattr(command, "recovery_rate", lambda *_: 0.25)
    monkeypatch.setattr(command.strips, "draw", no_picture)
    returned = dispatch.dispatch(resolved(run_dir=str(tmp_path / "run")))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line == json.loads((tmp_path / "run" / "card.json").read_text())
    assert line["verdict"] == returned["verdict"] == "collapsed" and line["recovery_rate"] == 0.25
    decided = [finding for finding in line["findings"] if not finding["met"]]
    assert decided[0]["threshold"] == "command_information >= 0.5" and decided[0]["value"] == 0.2
    assert (tmp_path / "run" / "card.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "run" / "card.html").read_text()
    assert "0.25" in page and "jog &lt;fast&gt;" in page


def test_other_policies_have_no_card(launch):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(ConfigError, match="type task=HumanoidAMP mode=card skill=FILE"):
        launch(mode="card", checkpoint="run")


def test_a_card_pushes_by_itself(resolved):
    with pytest.raises(ConfigError, match=r"task\.disturb\.push=0\.3: a card has pushes of its own"):
        dispatch.dispatch(resolved(task={"disturb": {"push": 0.3}}))


def test_an_untrained_body_does_not_get_up(resolved, monkeypatch):
    monkeypatch.setattr(command, "RISE_S", 0.2)
    monkeypatch.setattr(command, "STAND_S", 0.1)
    envs, run = [], command.run_episodes
    monkeypatch.setattr(command, "run_episodes", lambda env, *more: envs.append(env) or run(env, *more))
    made = resolved(task={"track_within_m": 0.5})
    assert command.recovery_rate(made, command.trained_learner(made, 2, 0), 2) == 0.0
    cfg = envs[0].task.cfg
    assert cfg.fallen.share == 1.0 and cfg.track_within_m == 0.0, "a body may rise in its own way"
