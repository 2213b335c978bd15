"""What the page refuses, and where its packages come from; tests/test_shipped_page.py has the page itself."""

import hashlib
import importlib.util
import io
import itertools
import os
import subprocess
import tarfile

import pytest
import torch
from torch import nn

from isaachrl.errors import IsaacHRLError
from isaachrl.learn.learner import Exported
from isaachrl.run.commands import page
from isaachrl.run.commands.page import Package
from tests.browser import browser, open_page

TARGET = [part for part in page.TASK_PARTS if part[0].startswith("target")]
SENSES = [(name, 1, "") for name in page.PROPRIOCEPTION]


def archive(**files):
    """A package as npm packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as content:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            content.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package that a stub of npm writes into the working folder, and the stub's path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = archive(LICENSE=b"MIT License")
    own = Package("@some/thing", "1.2.0", hashlib.sha256(data).hexdigest(), {})
    (tmp_path / "made.tgz").write_bytes(data)
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\necho $@ >>{tmp_path}/calls\ncp {tmp_path}/made.tgz some-thing-1.2.0.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return own, npm


def networks(senses=SENSES, task=TARGET, names=page.LEVELS):
    contract = {"layout": {"proprioception": senses, "task": task}}
    return [Exported(name, nn.Identity(), {"x": torch.rand(1, 1)}, "y", contract) for name in names]


def test_policies_whose_observation_the_page_computes_are_accepted():
    page.require_page(networks())
    page.require_page(networks(task=[("map_h", 48, "1 wall, 0 free, points 4 m apart"), ("way_length", 1, "10 m")]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"names": ("policy",)}, "a high level over a skill, and this is none"),
        ({"task": [*TARGET, ("box_h", 2, "m")]}, r"cannot compute what this policy observes \(box_h\)"),
        ({"task": [("target_h", 2, "20 m")]}, r"\(target_h\)"),  # in another unit
        ({"task": [("map_h", 24, "1 wall, 0 free, points 4 m apart")]}, r"\(map_h\)"),  # of another size
        ({"senses": SENSES[1:]}, r"\(proprioception, task\); it can for policies of HumanoidLocation"),
    ],
)
def test_others_are_refused(given, message):
    with pytest.raises(IsaacHRLError, match=message):
        page.require_page(networks(**given))


@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs the extra export")
def test_a_policy_without_a_skill_is_refused_before_anything_is_written(launch, tmp_path):
    launch(max_iterations=1, run_dir="run")
    with pytest.raises(IsaacHRLError, match="leave target=web out"):
        launch(mode="export", target="web", checkpoint="run")
    assert not (tmp_path / "run" / "export").exists()


def test_a_package_is_fetched_once(package, tmp_path):
    own, _ = package
    path = page.fetch(own)
    assert page.fetch(own) == path == tmp_path / "cache" / "isaachrl" / "npm" / "some-thing-1.2.0.tgz"
    assert (tmp_path / "calls").read_text() == "pack --silent --ignore-scripts @some/thing@1.2.0\n"


def test_another_content_is_refused(package, tmp_path):
    (tmp_path / "made.tgz").write_bytes(archive(LICENSE=b"other"))
    with pytest.raises(IsaacHRLError, match=r"thing-1.2.0.tgz was not @some/thing 1.2.0, by its hash, and is deleted"):
        page.fetch(package[0])


def test_without_npm_a_message_says_what_to_install_or_copy(package, monkeypatch):
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    with pytest.raises(IsaacHRLError, match=r"install Node.js, or copy some-thing-1.2.0.tgz into .*isaachrl/npm"):
        page.fetch(package[0])


def test_without_network_the_message_has_what_npm_said(package):
    own, npm = package
    npm.write_text("#!/bin/sh\necho no route to the registry >&2\nexit 1\n")
    with pytest.raises(IsaacHRLError, match=r"could not fetch @some/thing 1.2.0 \(.*no route.*\); check the network"):
        page.fetch(own)


def test_an_npm_that_hangs_is_not_waited_for(package, monkeypatch):
    def hang(*words, **options):
        raise subprocess.TimeoutExpired("npm pack", options["timeout"])

    monkeypatch.setattr(page.subprocess, "run", hang)
    with pytest.raises(IsaacHRLError, match=r"timed out after 300 seconds"):
        page.fetch(package[0])


SHOW = """(ids) => {
  for (const id of ["policy", "draw", "clear", "plan"]) document.getElementById(id).hidden = !ids.includes(id);
  document.getElementById("policy").replaceChildren(new Option("HumanoidTrajectory"));
  document.getElementById("plan").width = document.getElementById("plan").height = 260;
  document.getElementById("status").textContent = "12 s   1.2 m/s   0.31 m beside the path   60 frames/s";
}"""
BOXES = """() => [...document.querySelectorAll("header > *, footer, #joystick, #plan")].map(
  (element) => element.getBoundingClientRect().toJSON()).filter((box) => box.width)"""


@pytest.mark.slow
def test_nothing_overlaps_in_a_small_window():
    with browser() as chromium:
        tab, _ = open_page(chromium, f"file://{page.SOURCES / 'index.html'}")
        for shown in (["policy", "draw"], ["policy", "clear", "plan"]):  # of a path, of a maze
            tab.evaluate(SHOW, shown)
            boxes = tab.evaluate(BOXES)
            assert len(boxes) == len(shown) + 5
            for box in boxes:
                assert min(box["left"], box["top"]) >= 0 and box["right"] <= 320 and box["bottom"] <= 240, box
            for a, b in itertools.combinations(boxes, 2):
                beside = a["right"] <= b["left"] or b["right"] <= a["left"]
                assert beside or a["bottom"] <= b["top"] or b["bottom"] <= a["top"], (shown, a, b)
