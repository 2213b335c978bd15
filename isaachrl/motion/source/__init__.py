"""Motions of foreign skeletons in one shape, whatever file they come from, as retargeting takes them."""
