"""Interfaces of other simulators on the engines of this project."""
