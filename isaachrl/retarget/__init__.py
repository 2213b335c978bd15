"""Motions of foreign skeletons on a robot: targets for its bodies, inverse kinematics by mink, and checks of the result."""
