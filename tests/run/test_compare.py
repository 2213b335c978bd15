"""Curves of several runs in one picture."""

import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from isaachrl.errors import ConfigError
from isaachrl.run import compare
from isaachrl.run import main as run_main
from isaachrl.run.compare import main, read_curve

ROOT = Path(__file__).resolve().parents[2]


def _run(folder: Path, values: list[float]) -> Path:
    folder.mkdir()
    lines = [
        json.dumps({"iteration": i, "samples": 10 * i, "wall_s": i, "a/b": v}) for i, v in enumerate(values, start=1)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_a_curve_is_read_off_the_metrics(tmp_path: Path) -> None:
    samples, values = read_curve(_run(tmp_path / "run", [1.0, 4.0]), "a/b")
    assert np.array_equal(samples, [10.0, 20.0]) and np.array_equal(values, [1.0, 4.0])


def test_a_curve_can_be_over_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _run(tmp_path / "run", [1.0, 4.0, 2.0])
    minutes, values = read_curve(run, "a/b", "minutes")
    assert np.allclose(minutes, [1 / 60, 2 / 60, 3 / 60]) and np.array_equal(values, [1.0, 4.0, 2.0])
    drawn: list[float] = []
    monkeypatch.setattr(compare, "draw_curve", lambda _axes, _name, _style, curves: drawn.extend(curves[0][0]))
    assert main([str(tmp_path / "out.png"), f"ours={run}", "signals=a/b", "over=minutes"]) == 0
    assert np.allclose(drawn, [1 / 60, 2 / 60, 3 / 60])
    assert main([str(tmp_path / "out.png"), f"ours={run}", "signals=a/b", "over=hours"]) == 2
    assert "over=hours: not known; (valid: minutes, samples)" in capsys.readouterr().err
    assert main([str(tmp_path), "over=minutes"]) == 2, "the table of a folder has both"


def test_the_picture_is_written(tmp_path: Path) -> None:
    one, two = _run(tmp_path / "one", [1.0, 2.0, 3.0]), _run(tmp_path / "two", [2.0, 3.0])
    assert main([str(tmp_path / "out.png"), f"ours={one},{two}", "signals=a/b"]) == 0
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(tmp_path / "one", [1.0, 2.0])
    assert main([str(tmp_path / "no" / "out.png"), f"ours={run}", "signals=a/b"]) == 2
    assert "out.png could not be written (No such file or directory)" in capsys.readouterr().err


def test_missing_fields_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        read_curve(tmp_path, "a/b")
    with pytest.raises(ConfigError, match=r"never recorded x/y; \(valid: .*a/b"):
        read_curve(_run(tmp_path / "run", [1.0]), "x/y")
    for words in (
        ["out.png"],
        ["out.png", "ours=run"],
        [str(tmp_path), "ours=run"],
        [str(tmp_path), "x=y", "signals=a"],
    ):
        assert main(words) == 2
        assert "usage" in capsys.readouterr().err


def test_samples_can_count_for_different_settings_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[float]] = {}
    monkeypatch.setattr(
        compare, "draw_curve", lambda axes, name, colour, curves: drawn.update({name: list(curves[0][0])})
    )
    runs = {"slow": [_run(tmp_path / "one", [1.0, 2.0])], "fast": [_run(tmp_path / "two", [2.0])]}
    compare.compare(runs, ["a/b"], {"slow": 5.0}, "control steps")
    assert drawn == {"slow": [50.0, 100.0], "fast": [10.0]}


def test_curves_of_many_settings_have_distinct_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, str]] = []
    monkeypatch.setattr(compare, "draw_curve", lambda axes, name, style, curves: drawn.append(style))
    runs = {str(i): [_run(tmp_path / str(i), [1.0, 2.0])] for i in range(9)}
    compare.compare(runs, ["a/b"])
    assert len(set(drawn)) == len(drawn) == 9


def _configured(folder: Path, values: list[float], **keys: object) -> Path:
    run = _run(folder, values)
    (run / "config.yaml").write_text(json.dumps(keys))
    return run


def test_settings_are_named_by_the_fewest_keys_that_tell_them_apart() -> None:
    runs = {}
    for number, (task, gamma, seed) in enumerate(product(("A", "B"), (0.9, 0.99), (0, 1))):
        own = {"task.x": 1} if task == "A" else {"task.y": 2}
        copied = {"task.steps": len(task) + (task == "B"), "train.horizon": int(10 * gamma)}
        runs[Path(str(number))] = {"seed": seed, "train.gamma": gamma, "task.name": task} | own | copied
    settings = {name: [int(str(run)) for run in members] for name, members in compare.settings_of(runs).items()}
    assert settings == {
        "task=A train.gamma=0.9": [0, 1],
        "task=A train.gamma=0.99": [2, 3],
        "task=B train.gamma=0.9": [4, 5],
        "task=B train.gamma=0.99": [6, 7],
    }
    only_one_has_it = [{"task.name": "A", "task.x": 1}, {"task.name": "A", "task.x": 2}, {"task.name": "B"}]
    found = compare.settings_of({Path(str(number)): keys for number, keys in enumerate(only_one_has_it)})
    assert list(found) == ["task=A task.x=1", "task=A task.x=2", "task=B"]
    assert list(compare.settings_of({Path("0"): {"seed": 0, "a": 1}, Path("1"): {"seed": 1, "a": 1}})) == ["all"]


def test_a_sweep_is_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (gamma, seed, last) in enumerate(((0.9, 0, 1.0), (0.9, 1, 3.0), (0.99, 0, 8.0))):
        _configured(tmp_path / str(number), [0.0] * 19 + [last], seed=seed, train={"gamma": gamma})
    assert main([str(tmp_path), "signals=a/b"]) == 0
    table = (tmp_path / "sweep.md").read_text()
    assert capsys.readouterr().out == table
    assert table.splitlines() == [
        "| setting | runs | a/b | samples | minutes |",
        "| --- | --- | --- | --- | --- |",
        "| train.gamma=0.9 | 2 | 0.6667 ± 0.47 | 200 | 0.3333 |",
        "| train.gamma=0.99 | 1 | 2.667 | 200 | 0.3333 |",
    ], "means of the last tenth: of the samples from 180 to 200"
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert [run["run"] for run in found["train.gamma=0.9"]] == ["0", "1"]
    assert found["train.gamma=0.99"][0]["a/b"] == pytest.approx(8 / 3)
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"


def test_runs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        _configured(tmp_path / str(number), [1.0, 2.0], seed=0, train={"gamma": number / 100})
    compare.sweep(tmp_path, ["a/b"])
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert [runs[0]["run"] for runs in found.values()] == ["1", "2", "10"]


def test_what_a_folder_lacks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "has no runs; type python train.py --multirun" in capsys.readouterr().err
    _configured(tmp_path / "0", [1.0, 2.0], seed=0)
    _configured(tmp_path / "stopped_at_once", [], seed=1)
    assert main([str(tmp_path)]) == 2
    assert "type signals=group/name" in capsys.readouterr().err
    assert main([str(tmp_path), "signals=a/b"]) == 0
    (tmp_path / "0" / "config.yaml").write_text("{")
    assert main([str(tmp_path)]) == 2
    assert "0/config.yaml is not the configuration of a run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_multirun_makes_a_folder_for_each_run_but_the_invalid_one(tmp_path: Path) -> None:
    """Two trainings in one process, and one that is refused."""
    words = [
        "--multirun",
        "task=TaxiFuel",
        "seed=0,-1,1",
        "max_iterations=1",
        "num_envs=4",
        f"run_dir={tmp_path / 'sweep'}",
    ]
    done = subprocess.run([sys.executable, str(ROOT / "train.py"), *words], timeout=120, capture_output=True, text=True)
    assert done.returncode == 2 and "ConfigError: seed=-1: expected a number from 0" in done.stderr
    said = "run 1 (task=TaxiFuel seed=-1 max_iterations=1 num_envs=4 run_dir="
    assert [line.partition(said)[0] for line in done.stderr.splitlines() if said in line] == ["", "IsaacHRLError: "]
    table = compare.sweep(tmp_path / "sweep", ["reward/total"])
    assert table.splitlines()[2].startswith("| all | 2 | ")
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()) == ["0", "2"]


@pytest.mark.slow
def test_optuna_searches_for_the_best_signal(tmp_path: Path) -> None:
    """The command of the page, shorter: each of two trials is a run, the better mean of the signal the result."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason='not installed: pip install -e ".[optuna]"')
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"python train\.py (--multirun hydra/sweeper=optuna [^`]+)`", page)
    folder = tmp_path / "sweep"
    shorter = {"hydra.sweeper.n_trials": "2", "run_dir": str(folder)}
    words = [f"{key}={shorter.get(key, value)}" for key, value in re.findall(r"'?([\w./]+)=([^\s']+)", command)]
    words += ["max_iterations=2", "num_envs=4", "hydra.sweeper.n_jobs=1"]
    command_line = [sys.executable, str(ROOT / "train.py"), "--multirun", *words]
    done = subprocess.run(command_line, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    best = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    values = [compare.final_mean(folder / str(number), "reward/total") for number in range(2)]
    assert best["best_value"] == pytest.approx(max(values))
    assert 0.1 <= best["best_params"]["++train.learning_rate"] <= 1.0


def test_a_search_without_an_objective_is_refused() -> None:
    """Before it trains anything."""
    hydra = OmegaConf.create(
        {"sweeper": {"_target_": "hydra_plugins.hydra_optuna_sweeper.x"}, "overrides": {"task": []}}
    )
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match="type objective=NAME"):
        patch.setattr(run_main.HydraConfig, "get", lambda: OmegaConf.merge(hydra, {"mode": "RUN"}))
        run_main.run(OmegaConf.create({}))
