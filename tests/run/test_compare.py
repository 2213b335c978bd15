"""Curves of several runs in one picture."""

import json
from pathlib import Path

import numpy as np
import pytest

from isaachrl.errors import ConfigError
from isaachrl.run import compare
from isaachrl.run.compare import main, read_curve


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
    assert main(["out.png"]) == 2
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
