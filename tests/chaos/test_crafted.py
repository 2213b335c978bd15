"""Hostile and broken files: nothing in them runs, nothing is read that is not theirs, and each is refused in words."""

import functools
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from isaachrl.errors import IsaacHRLError
from tests.chaos import child, crafted, state

pytestmark = pytest.mark.chaos(quick=3)

SKILL_USERS = {
    "checkpoint": "mode=evaluate episodes=1 checkpoint={}",
    "resume": "resume={}",
    "skill": "task=HumanoidHRLMaze num_envs=1 max_iterations=1 skill={}",
    "rescue": "task=HumanoidHRLMaze num_envs=1 max_iterations=1 task.rescue={}",
}
MOTION = "task=HumanoidAMP num_envs=1 max_iterations=1 motion={}"
PT = ("plain0", "plain2", "plain4", "plain5", "zip", "nested", "legacy", "script", "names")
MOTIONS = ("objects.npy", "dotted.npy", "reduce.npy", "objects.npz", "apply.yaml")


def refused(code, output):
    wrong = state.refusal(code, output)
    assert not wrong, wrong
    assert "weights_only" not in output, "PyTorch's advice to run what the file holds is passed on"


@pytest.mark.parametrize("use", SKILL_USERS)
@pytest.mark.parametrize("name", PT)
def test_code_in_a_checkpoint_or_skill_never_runs(name, use, tmp_path, tally):
    marker = tmp_path / "marker"
    path = crafted.executable(tmp_path, marker)[f"{name}.pt"]
    code, output = child.finished(tmp_path / "cwd", SKILL_USERS[use].format(path))
    assert not marker.exists()
    refused(code, output)


@pytest.mark.parametrize("name", MOTIONS)
def test_code_in_a_motion_never_runs(name, tmp_path, tally):
    marker = tmp_path / "marker"
    code, output = child.finished(tmp_path / "cwd", MOTION.format(crafted.executable(tmp_path, marker)[name]))
    assert not marker.exists()
    refused(code, output)


@pytest.mark.parametrize("name", ["pointer", "freed", "beyond"])
def test_a_motion_cannot_choose_the_memory_that_is_read(name, tmp_path, tally):
    refused(*child.finished(tmp_path / "cwd", MOTION.format(crafted.unsafe_memory(tmp_path)[name])))


@pytest.mark.parametrize("name", ["aliases.yaml", "deep.yaml", "zeros.npz", "shape.npz", "zeros.pt"])
def test_a_small_file_does_not_fill_the_memory(name, tmp_path, tally):
    path = crafted.bomb(tmp_path / name)
    use = SKILL_USERS["checkpoint"] if path.suffix == ".pt" else MOTION
    refused(*child.finished(tmp_path / "cwd", use.format(path), memory=child.GIB))


PLACES = [
    ("TaxiFuel", ("config", "sim")),
    ("TaxiFuel", ("task",)),
    ("HumanoidHRLMaze", ("config", "task", "layout")),
    ("HumanoidHRLMaze", ("config", "task", "skill")),
    ("HumanoidHRLMaze", ("config", "task", "start_motion")),
    ("HumanoidAMP", ("config", "task", "motion")),
]


@pytest.mark.parametrize("use", ["checkpoint", "resume"])
@pytest.mark.parametrize(("task", "place"), PLACES, ids=[".".join(place) for _, place in PLACES])
@pytest.mark.parametrize("resolver", ["${{oc.env:{}}}", "${{oc.decode:${{oc.env:{}}}}}"], ids=["env", "decode"])
def test_a_stored_configuration_reads_no_variables(task, place, resolver, use, made, tmp_path, tally):
    folder = tmp_path / "run"
    shutil.copytree(made(task), folder)
    path = folder / "checkpoints" / "last.pt"
    changed = crafted.altered(torch.load(path, weights_only=True), place, resolver.format(crafted.VARIABLE))
    torch.save(changed, path)
    arguments = SKILL_USERS[use].format(folder) + " num_envs=4 max_iterations=3"
    code, output = child.finished(
        tmp_path / "cwd", arguments, variables={crafted.VARIABLE: crafted.SECRET, "HYDRA_FULL_ERROR": "1"}
    )
    written = "".join(file.read_text() for file in folder.glob("*.*") if file.suffix in (".yaml", ".json"))
    assert crafted.SECRET not in output + written
    refused(code, output)


def test_a_skill_file_reads_no_variables(made, tmp_path, tally):
    content = torch.load(made("HumanoidAMP") / "skill.pt", weights_only=True)
    contract = json.loads(content["contract"])
    contract["training"]["motion"] = f"${{oc.env:{crafted.VARIABLE}}}"
    torch.save(content | {"contract": json.dumps(contract)}, tmp_path / "skill.pt")
    code, output = child.finished(
        tmp_path / "cwd",
        SKILL_USERS["checkpoint"].format(tmp_path / "skill.pt"),
        variables={crafted.VARIABLE: crafted.SECRET},
    )
    assert crafted.SECRET not in output
    refused(code, output)


def survey_structure(source: Path, target: Path, use: str) -> None:
    """Every field of a checkpoint or a skill, of another type and without it; what became of each, a JSON line each."""
    import isaachrl
    from isaachrl.hierarchy.skill import Skill
    from isaachrl.run import dispatch as commands

    os.environ[crafted.VARIABLE] = crafted.SECRET
    content = torch.load(source, weights_only=True)
    contract = json.loads(content["contract"]) if use == "skill" else {}
    again = {"resume": str(target), "max_iterations": 2, "run_dir": str(target.parent / "again")}
    call = {
        "load": functools.partial(isaachrl.load, target, num_envs=2, device="cpu"),
        "skill": functools.partial(Skill.load, target),
        "resume": functools.partial(commands.run, again, [f"{key}={value}" for key, value in again.items()]),
    }[use]
    paths = [(key,) for key in content] + [("contract", key) for key in contract]
    nested = ("config", "learner_state", "env_state", "random_state") if use != "skill" else ()
    paths += [(key, inner) for key in nested for inner in content[key]]
    with Path("survey.jsonl").open("w", buffering=1) as record:
        for path in paths:
            for name, value in [*crafted.ODD.items(), ("removed", crafted.REMOVED)]:
                if path[0] == "contract" and len(path) == 2:
                    if isinstance(value, torch.Tensor):
                        continue
                    changed = content | {"contract": json.dumps(crafted.altered(contract, path[1:], value))}
                else:
                    changed = crafted.altered(content, path, value)
                torch.save(changed, target)
                row = {"case": f"{'.'.join(path)} {name}", "outcome": "crash"}
                record.write(json.dumps(row) + "\n")
                try:
                    call()
                    row["outcome"] = "accepted"
                except IsaacHRLError as error:
                    row["outcome"] = "leak" if crafted.SECRET in str(error) else "refused"
                except Exception as error:
                    row["outcome"] = f"{type(error).__name__}: {str(error)[:80]}"
                record.write(json.dumps(row) + "\n")


SURVEY_S = 600.0  # hundreds of files; what hangs on one is ended by the limit of processor time
MUST_REFUSE = ("iteration minus", "iteration text", "version minus", "version true", "version text", "samples text")


@pytest.mark.parametrize(("use", "task"), [("load", "TaxiFuel"), ("resume", "TaxiFuel"), ("skill", "HumanoidAMP")])
def test_odd_fields_are_refused_by_our_errors(use, task, made, tmp_path, tally):
    source = made(task) / ("skill.pt" if use == "skill" else "checkpoints/last.pt")
    run = child.Child(tmp_path / "cwd", survey_structure, source, tmp_path / "odd.pt", use, memory=2 * child.GIB)
    code = run.ended(SURVEY_S)
    rows = [json.loads(line) for line in (tmp_path / "cwd" / "survey.jsonl").read_text().splitlines()]
    for case, outcome in {row["case"]: row["outcome"] for row in rows}.items():
        allowed = ("refused",) if case in MUST_REFUSE else ("refused", "accepted")
        tally.check("" if outcome in allowed else f"{use}, {case}: {outcome}")
    if code != 0:
        tally.failed(f"{use}: exit code {code}\n{run.output[-2000:]}")
