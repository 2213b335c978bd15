"""What `gpu_check.py` runs: one module a section, and what they share."""
