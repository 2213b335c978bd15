"""Motions of foreign skeletons: what the readers of `isaachrl.motion.formats` give, in one shape, before retargeting."""
