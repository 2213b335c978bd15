"""Acting with all levels, and the replay buffers that it fills."""
