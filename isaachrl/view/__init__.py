"""Live viewers: an environment stepped at a user's command, shown in a browser or in MuJoCo's own window."""
