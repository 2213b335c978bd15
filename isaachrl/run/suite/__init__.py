"""The task suite: many tasks, trained and evaluated on one machine, as a table and a picture."""
