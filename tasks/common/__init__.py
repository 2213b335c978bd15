"""Functions and data shared by tasks."""
