"""Predictions for one H100 and 4096 environments, within a factor of two.

They follow from counts of operations, published figures of the engine and bytes of tensors, not from measurements.
"""

N = "4096"

# minimum and maximum by section and figure
PREDICTIONS: dict[str, tuple[float, float]] = {
    "engine/load_s": (1.0, 10.0),  # with `kernels=`; minutes without
    f"throughput/{N}/bare_ms": (2.75, 11.0),
    f"throughput/{N}/env_graph_ms": (3.0, 12.2),
    f"throughput/{N}/bare_steps_per_s": (350e3, 1400e3),
    f"throughput/{N}/replayed_torch_kernels": (200, 400),  # 244 operations
    f"throughput/{N}/replayed_torch_ms": (0.3, 1.2),
    f"throughput/{N}/memory_gib": (0.2, 0.8),
    f"throughput/HumanoidHRLMaze/{N}/env_graph_ms": (19.0, 76.0),
    f"throughput/HumanoidHRLMaze/{N}/replayed_torch_kernels": (2300, 4600),  # 2922 operations
    f"throughput/HumanoidHRLMaze/{N}/replayed_torch_ms": (4.0, 16.0),
    f"throughput/HumanoidHRLMaze/{N}/env_eager_ms": (25.0, 100.0),
    "update/paper/as_shipped/rollout_ms": (100.0, 400.0),
    "update/paper/as_shipped/update_ms": (200.0, 800.0),
    "update/paper/as_shipped/samples_per_s": (125e3, 600e3),
    "update/paper/three_epochs/update_ms": (100.0, 400.0),
    "update/paper/minibatch_32k/update_ms": (100.0, 400.0),
    "update/paper/policy_operations": (290, 440),
    "update/paper/judge_operations": (260, 320),
    "update/paper/minibatches": (48, 48),
    "update/paper/launches": (15e3, 60e3),
    "update/paper/torch_peak_gib": (4.0, 8.0),
    "ppo/rollout_ms": (300.0, 1200.0),  # 16 decisions
    "learning/samples_per_s": (125e3, 600e3),
    "user/last_mb": (75.0, 295.0),  # of which 106 MB 100,000 windows and latents, 23 MB motions, 11 MB worlds
    "user/numbered_mb": (0.5, 5.0),
    "user/success_rate": (0.97, 1.0),
}


def predicted(section: str, figure: str) -> list[float] | None:
    """Minimum and maximum of the prediction; None if there is none."""
    found = PREDICTIONS.get(f"{section}/{figure}")
    return None if found is None else list(found)
