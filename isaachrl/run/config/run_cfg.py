"""The top-level keys of a run."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from isaachrl.config import bounded
from isaachrl.errors import ConfigError
from isaachrl.maths.seeds import LARGEST_SEED

DEFAULT_NUM_ENVS = 256
# keys of the invocation, which a stored configuration does not pass on
CALL_KEYS = (
    "mode", "tasks", "checkpoint", "resume", "run_dir", "recipe", "test", "device", "cuda_graph", "episodes", "video",
    "policy", "help", "track", "view", "port", "target", "objective", "source",
)  # fmt: skip


class Mode(Enum):
    """The command; each is a function of its own name in a module of `isaachrl.run.commands` of its own name."""

    train = "train"
    play = "play"
    evaluate = "evaluate"
    card = "card"
    export = "export"
    task_graph = "task_graph"
    view = "view"
    robot = "robot"
    vars()["import"] = "import"  # no name in Python; its module and function are `import_motions`


class PolicyKind(Enum):
    """The policy in play and evaluation: the trained one, uniformly random actions, or the task's table."""

    trained = "trained"
    random = "random"
    program = "program"


class Track(Enum):
    """The library that a run is recorded with, besides its own files."""

    none = "none"
    wandb = "wandb"
    trackio = "trackio"


class Target(Enum):
    """What an export writes: files of the networks, or a page in which they are steered, too."""

    files = "files"
    web = "web"


class ViewKind(Enum):
    """How `mode=view` shows a task: in a window, on a page in the browser; `html` is a file that `mode=play` writes."""

    auto = "auto"
    web = "web"
    native = "native"
    html = "html"


@dataclass
class RunCfg:
    """The top-level keys.

    Args:
        task: section of the task, with its `name`.
        train: section of the learner, with its `name`.
        tasks: modules that register tasks of the user's own.
        sim: engine, `auto` or one of `isaachrl.sim.ENGINES`.
        device: `auto`, `cpu`, `cuda:0`, …
        cuda_graph: `auto` replays steps as CUDA graphs where possible, `off` does not.
        num_envs: number of environments, over all processes; None takes the recipe's.
        seed: of all randomness.
        max_iterations: shorthand of `train.max_iterations`.
        mode: the command.
        checkpoint: what play, evaluate and export load (a run, a checkpoint or a skill file); in training, the
            weights to start from.
        policy: the policy in play and evaluation; `random` and `program` need no checkpoint.
        skill: shorthand of `task.skill`; for a task without a skill, of `checkpoint`, to play the skill itself.
        motion: shorthand of `task.motion`.
        robot: shorthand of `task.robot`; the file of `mode=robot`.
        source: what is known about the file that `mode=import` reads, see `isaachrl.motion.source.settle.SourceCfg`.
        run_dir: folder of the run; None is `runs/<task>/<time>`.
        resume: run folder to continue from its `checkpoints/last.pt`.
        save_every_s: seconds between saves of `checkpoints/last.pt`; None adapts to the time that a save takes.
        video: whether playing writes a video.
        view: `native` window or `web` page of `mode=view`; `auto` is a window where there is a display. `html` lets
            `mode=play` write a page with the episodes in place of the video.
        port: of the page; 0 takes any free one.
        recipe: which overlay of the learner's YAML applies: `auto` takes the one named after the task, else after the
            device; `none` applies none.
        track: a library that records training and video, too; see `isaachrl.run.recording.tracking`.
        target: what an export writes; see `isaachrl.run.commands.page` for `web`.
        objective: signal that a sweeper of Hydra's makes large or small; see `isaachrl.run.main`.
        test: the same as `mode=play`.
        episodes: number of episodes of an evaluation.
        help: only list every key with its value; set by `--help`.
    """

    RENAMED: ClassVar[dict[str, str]] = {"graph": "cuda_graph"}
    FOREIGN: ClassVar[dict[str, str]] = {
        "headless": "training opens no window, so leave it out",
        "sim_device": "physics and learning share one device, type device={}",
        "rl_device": "physics and learning share one device, type device={}",
        "pipeline": "tensors stay where the worlds are, type device=cpu or device=cuda:0",
        "graphics_device_id": "pictures are drawn by MUJOCO_GL=egl or osmesa, so leave it out",
        "physics_engine": "the engine is called sim, type sim=mujoco or sim=mujoco_warp",
        "multi_gpu": "type torchrun --nproc-per-node=N before train.py, or before -m isaachrl",
        "capture_video": "a trained run is filmed, type mode=play checkpoint=RUN",
        "experiment": "type run_dir=runs/{}",
        "force_render": "a training opens no window, type mode=view checkpoint=RUN to watch one",
        "num_threads": "physics uses every core; type OMP_NUM_THREADS={} before the command for PyTorch's threads",
        "num_subscenes": "worlds are spread over the cores by themselves, so leave it out",
        "wandb_activate": "type track=wandb",
    }  # keys of Isaac Gym's programs; {} is the value

    task: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    sim: str = "auto"
    device: str = "auto"
    cuda_graph: str = "auto"
    num_envs: int | None = bounded(None, 1)
    seed: int = bounded(0, 0, LARGEST_SEED)
    max_iterations: int | None = bounded(None, 1)
    mode: Mode = Mode.train
    checkpoint: str | None = None
    policy: PolicyKind = PolicyKind.trained
    skill: str | None = None
    motion: str | None = None
    robot: str | None = None
    source: dict[str, Any] = field(default_factory=dict)
    run_dir: str | None = None
    resume: str | None = None
    save_every_s: float | None = bounded(None, 0.0)
    video: bool = True
    view: ViewKind = ViewKind.auto
    port: int = bounded(8080, 0, 65535)
    recipe: str = "auto"
    track: Track = Track.none
    target: Target = Target.files
    objective: str | None = None
    test: bool = False
    episodes: int = bounded(256, 1)
    help: bool = False

    def __post_init__(self) -> None:
        """Reject empty paths: an unset shell variable in `resume=$RUN` must not start a new run."""
        for key in ("checkpoint", "skill", "motion", "robot", "run_dir", "resume"):
            if getattr(self, key) == "":
                raise ConfigError(f"{key}= is empty (an unset shell variable?); type {key}=PATH or leave {key}= out")
