"""Functions and data that several tasks share."""
