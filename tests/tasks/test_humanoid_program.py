"""HumanoidProgram: shipped skills and a policy under a table."""

from types import SimpleNamespace

import pytest
import torch

import isaachrl
import tasks
from isaachrl import config
from isaachrl.errors import ConfigError, SkillError
from isaachrl.run.rollout import ProgramPolicy, run_episodes
from tasks.common.frames import heading_frame
from tasks.humanoid_location import location_observation
from tasks.humanoid_program import HumanoidProgramCfg
from tasks.humanoid_topple import pillar_observation
from tests.tiny_policy import save_tiny_policy

assert tasks


def make(n=2, **task):
    return isaachrl.make("HumanoidProgram", n, device="cpu", cfg={"task": {"start_motion": "stand"} | task})


def configured(**values):
    return config.build(HumanoidProgramCfg, values, "task")


def act(env, steps):
    policy, obs = ProgramPolicy(env), env.observe()
    for _ in range(steps):
        result = env.step(policy.act(obs))
        obs = result.obs
    return result


def test_shipped_skills_go_through_a_table():
    table = [{"do": "walk", "for_s": 0.2}, {"do": "stand", "for_s": 0.1}]
    env = make(fsm=table, switch={"hold_s": 0.0})
    assert env.action_contract["actions"] == ["walk", "stand", "rise"]
    episodes = run_episodes(env, ProgramPolicy(env), 1)
    # 6 and 3 control steps of 1/30 s
    assert episodes.lengths.tolist() == [[9], [9]] and episodes.returns.tolist() == [[2], [2]]
    summary = episodes.summary()
    assert (summary["success_rate"], summary["entries_done"], summary["falls"]) == (1, 2, 0)
    assert summary["time_s"] == pytest.approx(0.3)


def test_a_fallen_body_is_told_to_rise_and_goes_on_afterwards():
    env = make(fsm=[{"do": "walk", "for_s": 9}])
    task, sim = env.inner.task, env.inner.sim
    qpos = sim.qpos.clone()
    qpos[1, 2:7] = torch.tensor([0.15, 0.5**0.5, 0.0, 0.5**0.5, 0.0])  # lies on its belly
    env.reset()
    sim.reset(torch.tensor([False, True]), qpos, torch.zeros_like(sim.qvel))
    result = act(env, 17)  # half a second is held
    assert task.rule.tolist() == [0, 1] and not result.done.any() and result.metrics["falls"].tolist() == [0, 1]
    assert [env.skill.names[i] for i in env.skill.active] == ["walk", "rise"]
    assert make(fsm=[{"do": "walk", "for_s": 9}], always=[]).inner.task._max_fallen_steps == 1


def test_a_policy_is_told_its_target(tmp_path):
    table = [{"do": "goto", "target": [4, 1], "until": "near"}, {"do": "goto", "target": [0, -3], "until": "near"}]
    env = make(fsm=table, options={"goto": save_tiny_policy(tmp_path / "run")})
    act(env, 3)
    task, sim = env.inner.task, env.inner.sim
    torch.testing.assert_close(env.skill.latent[0], env.skill._options[0].skill.prototype_of("walk"))
    qpos = sim.qpos.clone()
    qpos[1, :2] = torch.tensor([4.3, 1.5])  # 0.58 m away
    sim.reset(torch.tensor([False, True]), qpos, torch.zeros_like(sim.qvel))
    obs = act(env, 1).obs
    assert task.entry.tolist() == [0, 1]
    expected = location_observation(heading_frame(sim), torch.tensor([[4.0, 1.0], [0.0, -3.0]]))
    assert torch.equal(obs["HumanoidLocation"], expected)
    assert sim.mocap_pos_w[:, 0, :2].tolist() == [[4, 1], [0, -3]]


def test_a_pillar_is_seen_and_can_be_toppled(tmp_path):
    options = {name: save_tiny_policy(tmp_path / name) for name in ("goto", "topple")}
    env = make(program="cfg/program/errand.yaml", options=options)
    task, sim = env.inner.task, env.inner.sim
    assert task.machine.goal == 4 and sim.object_pos_w[:, 0, :2].tolist() == [[5, 0]] * 2
    assert torch.equal(env.observe()["HumanoidTopple"], pillar_observation(sim))
    task.entry = torch.ones_like(task.entry)
    lying = torch.tensor([0.5**0.5, 0.5**0.5, 0.0, 0.0]).expand(2, 1, 4)
    second, still = torch.tensor([[False], [True]]), torch.zeros(2, 1, 3)
    sim.place_objects(second, torch.tensor([5.0, 0.0, 0.2]).expand(2, 1, 3), lying, still, still)
    act(env, 1)
    assert task.entry.tolist() == [1, 2]
    with pytest.raises(ConfigError, match=r"task.pillar=\[5.0\]: expected x and y in m, type task.pillar=\[4,0\]"):
        configured(pillar=[5])
    with pytest.raises(ConfigError, match="there is no condition 'toppled'"):
        configured(fsm=[{"do": "walk", "until": "toppled"}])


def test_a_table_in_a_file(tmp_path):
    path = tmp_path / "errand.yaml"
    path.write_text("options: {go: walk_fast}\nfsm:\n  - {do: go, for_s: 2}\n  - {do: jog, for_s: 1}\n")
    cfg = configured(program=str(path))
    assert cfg.fsm == [{"do": "go", "for_s": 2}, {"do": "jog", "for_s": 1}] and cfg.program == ""
    assert cfg.options == {"go": "walk_fast", "jog": "jog", "rise": "assets/skills/rising.pt"}
    assert configured(program=str(path), options={"go": "walk"}).options["go"] == "walk"
    path.write_text("fsm: [{do: walk, for_s: 2}]\nalways: []\n")
    assert configured(program=str(path)).options == {"walk": "walk"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fsm: [", r"task.program=.*errand.yaml cannot be read as YAML"),
        ("fsm: [&a {do: walk, for_s: 1}, *a]", "it holds aliases .*write them out"),
        ("- {do: walk}", "task.program=.*expected keys with values"),
        ("fms: [{do: walk, for_s: 1}]", r"unknown key task.program=.*errand.yaml.fms; did you mean fsm\?"),
        ("fsm: {do: walk, for_s: 1}", "task.program=.*errand.yaml"),
        ("always: []", r"task.fsm=\[\]: expected one entry or more"),
        ("fsm: [{do: walk, until: far}]", r"task.fsm\[0\]: there is no condition 'far'; did you mean near"),
    ],
)
def test_files_that_are_no_table(tmp_path, text, message):
    path = tmp_path / "errand.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        configured(program=str(path))


def test_what_does_not_go_together_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="task.program=nowhere.yaml cannot be read as YAML: .*No such file"):
        configured(program="nowhere.yaml")
    with pytest.raises(ConfigError, match="task.program=a.yaml and task.fsm are both given"):
        configured(program="a.yaml", fsm=[{"do": "walk", "for_s": 1}])
    with pytest.raises(ConfigError, match="task.get_up_s=5.0: a rule with when: fallen has task.rise_s; leave"):
        configured(get_up_s=5)
    assert configured(get_up_s=5, always=[]).get_up_s == 5
    with pytest.raises(SkillError, match="task.options.dance=dance: the skill has no latent for 'dance'"):
        make(fsm=[{"do": "dance", "for_s": 1}])
    with pytest.raises(ConfigError, match="policy=program follows a table.*type task=HumanoidProgram"):
        ProgramPolicy(SimpleNamespace(obs_layout={"task": [("target_h", 2, "m")]}))
