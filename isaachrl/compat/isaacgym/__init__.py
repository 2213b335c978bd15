"""The Python API of Isaac Gym on MuJoCo; `isaachrl.isaacgym` installs it under the name `isaacgym`."""
