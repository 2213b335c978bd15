"""The page of `mode=export target=web`: a static folder in which a visitor steers a trained hierarchy in the browser.

It holds MuJoCo as WebAssembly, the exported networks for ONNX Runtime, the scene as MJCF, and the sources in
`page_files/`, which compute the observation as in Python. Any static server shows it. Packages come from npm once and
are kept in a cache; their hashes are fixed here.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from isaachrl.envs.env import Env, innermost
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import IsaacHRLError, brief
from isaachrl.files import write_atomically
from isaachrl.hierarchy.rescue import skill_digest
from isaachrl.learn.learner import Exported
from isaachrl.sim import scene_xml

SOURCES = Path(__file__).parent / "page_files"
LEVELS = ("high_level", "low_level")
FETCH_S = 300
CELLS = "cells"  # a unit that names the size of a maze's cells, which the page has
# parts of observations that page_files/observe.mjs computes: name, size, unit
TASK_PARTS = [
    ("target_h", 2, "10 m"), ("target_direction_h", 2, ""), ("target_distance", 1, "m, in [0, 1]"),
    ("hand_target_h", 3, "m, relative to the root, heading frame"),
    ("direction_h", 2, "unit vector, heading frame"), ("speed", 1, "m/s"), ("facing_h", 2, "unit vector"),
    ("path_h", 20, "m, points 0.3 s apart, the first is now"),
    ("direction_h", 2, "unit vector"), ("pillar_h", 2, "5 m"),
    ("pillar_direction_h", 2, "unit vector, heading frame"), ("pillar_distance", 1, "m, at most 1"),
    ("pillar_up", 3, "its axis: ahead, left, up"), ("pillar_linvel_h", 2, "m/s"),
    ("ball_pos_h", 6, "5 m, relative to the root, heading frame, newest ball first"),
    ("ball_linvel_h", 6, "m/s, heading frame, newest ball first"), ("ball_linvel_h", 3, "m/s"),
    ("ball_h", 3, "3 m, relative to the root, heading frame"),
    ("box_h", 2, "3 m"), ("box_axis_h", 2, "its x axis, heading frame"), ("box_linvel_h", 2, "m/s"),
    ("behind_h", 2, "3 m, place behind the box as seen from the goal"), ("goal_h", 2, "3 m"),
    ("push_direction_h", 2, "unit vector from the box to the goal"),
    ("goal_distance", 1, "3 m, from the box to the goal"),
    ("goal_direction_h", 2, "unit vector, heading frame"), ("goal_distance", 1, "10 m"),
    ("goal_pos_h", 2, "10 m, relative to the root, heading frame"),
    ("wall_rays", 16, "distance to a wall, 10 m, full circle, anticlockwise from ahead"), ("map_h", 48, CELLS),
    ("way_points_h", 4, CELLS), ("way_length", 1, "10 m"),
]  # fmt: skip
TASKS = (
    "HumanoidLocation", "HumanoidSteering", "HumanoidTrajectory", "HumanoidTopple", "HumanoidDodge", "HumanoidPush",
    "HumanoidDribble", "HumanoidReach", "HumanoidHRLMaze",
)  # fmt: skip
PROPRIOCEPTION = ["root_height", "body_pos_h", "body_axis_x_h", "body_axis_z_h", "body_linvel_h", "body_angvel_h"]


@dataclass(frozen=True)
class Package:
    """A package of npm.

    Args:
        name, version: as on npm.
        sha256: of its archive.
        files: name in the page's `vendor/` by path in the package; names that end in `.gz` are compressed, since two
            WebAssembly files take 25 MB otherwise.
        python: a Python distribution with the same licence texts, for a package that has none.
    """

    name: str
    version: str
    sha256: str
    files: Mapping[str, str]
    python: str = ""

    @property
    def archive(self) -> str:
        """File name that `npm pack` gives."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "@mujoco/mujoco", "3.14.0", "f845a07ab81303cc6579fec07136818bed21d44a31c1911340f61e06f4d11eee",
        {"mujoco.js": "mujoco.mjs", "mujoco.wasm": "mujoco.wasm.gz"}, "mujoco",
    ),
    Package(
        "onnxruntime-web", "1.30.0", "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
        {
            "dist/ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.mjs",
            "dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm.gz",
        }, "onnxruntime",
    ),
    Package(
        "three", "0.187.0", "ff540832ded0cfe919764d24a3d88f3e2a05f23303f876423e4f893841e90728",
        {
            "build/three.module.js": "three.module.js", "build/three.core.js": "three.core.js",
            "examples/jsm/controls/OrbitControls.js": "OrbitControls.js",
        },
    ),
)  # fmt: skip


def cache_folder() -> Path:
    """Where fetched archives are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isaachrl" / "npm"


def require_page(networks: list[Exported]) -> None:
    """Check that the page can compute what the networks observe.

    Raises:
        IsaacHRLError: there is no high level over a skill, or the page lacks a part of its observation.
    """
    contracts = {exported.name: exported.contract for exported in networks}
    if not set(LEVELS) <= set(contracts):
        raise IsaacHRLError("target=web shows a high level over a skill, and this is none; leave target=web out")
    layout = contracts["high_level"]["layout"]
    unknown = [part for part in layout.get("task", []) if not {tuple(part), (*part[:2], CELLS)} & set(TASK_PARTS)]
    names = [name for name, _, _ in layout.get("proprioception", [])]
    if set(layout) != {"proprioception", "task"} or names != PROPRIOCEPTION or unknown:
        lacks = ", ".join(name for name, _, _ in unknown) or ", ".join(sorted(layout))
        raise IsaacHRLError(
            f"the page of target=web cannot compute what this policy observes ({lacks}); it can for policies of"
            f" {', '.join(TASKS)}"
        )


def write_page(folder: Path, name: str, networks: Path, env: Env, task_cfg: Any) -> None:
    """Write the page, or add a policy to it.

    Args:
        folder: of the page; a page of the same version that is there keeps its other policies.
        name: of the policy, in the page's list.
        networks: folder of the exported networks.
        env: the policy's environment after a reset; the page starts from its first world.
        task_cfg: of the environment.

    Raises:
        IsaacHRLError: a package can neither be fetched nor is in the cache, or a file cannot be written.
    """
    own = folder / "policies" / name
    skill = folder / "skills" / skill_digest(env)[:12]  # policies share it
    for path in (own, skill):
        path.mkdir(parents=True, exist_ok=True)
    _write_vendor(folder / "vendor")
    for path in SOURCES.iterdir():
        write_atomically(folder / path.name, path.read_bytes())
    for level, place in zip(LEVELS, (own, skill), strict=True):
        for form in ("onnx", "json"):
            write_atomically(place / f"{level}.{form}", (networks / f"{level}.{form}").read_bytes())
    bottom = innermost(env)
    assert isinstance(bottom, TaskEnv)
    sim, (scene, data) = bottom.sim, bottom.task.page()
    write_atomically(own / "scene.xml", scene_xml(replace(scene, rough_m=0.0)).encode())
    start = data | {
        "skill": skill.name,
        "objects": len(scene.objects),
        "qpos": sim.qpos[0].tolist(),
        "qvel": sim.qvel[0].tolist(),
        "min_height_m": dict(getattr(task_cfg, "min_height_m", {})),
    }
    write_atomically(own / "start.json", _json(start))
    write_atomically(
        folder / "policies.json", _json(sorted(path.parent.name for path in own.parent.glob("*/start.json")))
    )


def fetch_all() -> list[tuple[Package, Path]]:
    """All packages with their archives; see `fetch`."""
    return [(package, fetch(package)) for package in PACKAGES]


def fetch(package: Package) -> Path:
    """The archive of a package: from the cache, else by `npm pack`.

    Raises:
        IsaacHRLError: npm is missing or fails, or the archive is not the expected one.
    """
    cache = cache_folder()
    path = cache / package.archive
    if not path.is_file():
        _npm_pack(package, cache)
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        path.unlink()
        raise IsaacHRLError(
            f"{path} was not {package.name} {package.version}, by its hash, and is deleted; type the same again"
        )
    return path


def _npm_pack(package: Package, cache: Path) -> None:
    """Let npm write a package's archive into the cache."""
    where = f"or copy {package.archive} into {cache} from a computer with network access"
    npm = shutil.which("npm")
    if npm is None:
        raise IsaacHRLError(f"target=web fetches {package.name} with npm, which is missing; install Node.js, {where}")
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=FETCH_S)
        reason = "" if done.returncode == 0 else done.stderr or done.stdout or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    if reason or not (cache / package.archive).is_file():
        raise IsaacHRLError(
            f"npm could not fetch {package.name} {package.version} ({brief(reason or 'no archive')}); check the"
            f" network and try again, {where}"
        )


def _write_vendor(folder: Path) -> None:
    """Write the packages' files and licences, unless these are of the same packages already."""
    licences = folder / "licences.txt"  # written last
    text = licences.read_text(encoding="utf-8") if licences.is_file() else ""
    if not all(_title(package) in text for package in PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        texts = [_unpack(package, archive, folder) for package, archive in fetch_all()]
        write_atomically(licences, "\n\n".join(texts).encode())


def _title(package: Package) -> str:
    """Heading of a package's licence."""
    return f"{'=' * 80}\n{package.name} {package.version}: {', '.join(package.files.values())}\n{'=' * 80}\n\n"


def _unpack(package: Package, archive: Path, folder: Path) -> str:
    """Write a package's files into a folder; its name and the texts of its licence."""
    with tarfile.open(archive) as content:
        texts = [_read(content, name) for name in content.getnames() if name == "package/LICENSE"]
        for path, name in package.files.items():
            data = _read(content, f"package/{path}")
            # without a time stamp, so that the same packages give the same page
            write_atomically(folder / name, gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data)
    if package.python:
        found = [path for path in distribution(package.python).files or [] if "LICENSE" in path.name.upper()]
        notices = [path for path in distribution(package.python).files or [] if path.name == "ThirdPartyNotices.txt"]
        texts += [Path(str(path.locate())).read_bytes() for path in (*found, *notices)]
    return _title(package) + "\n\n".join(text.decode(errors="replace") for text in texts)


def _read(content: tarfile.TarFile, name: str) -> bytes:
    """A file of an archive."""
    file = content.extractfile(name)
    assert file is not None
    return file.read()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
