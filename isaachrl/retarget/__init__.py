"""Motions of foreign skeletons on a robot: targets, inverse kinematics by mink, and checks of the result."""
