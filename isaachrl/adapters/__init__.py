"""Adapters of `Env` to other libraries, one module each; a module imports its library, and the rest does without it."""
