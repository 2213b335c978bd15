"""Built-in motions, made from footsteps, a pendulum and inverse kinematics: no recorded data."""

from isaachrl.motion.synthesis.builtin import CLIP_NAMES, builtin_clip, builtin_clips

__all__ = ["CLIP_NAMES", "builtin_clip", "builtin_clips"]
