"""Procedural motions from footsteps, an inverted pendulum and inverse kinematics; no recorded data."""

from isaachrl.motion.synthesis.builtin import CLIP_NAMES, builtin_clip, builtin_clips

__all__ = ["CLIP_NAMES", "builtin_clip", "builtin_clips"]
