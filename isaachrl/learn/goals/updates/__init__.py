"""What each level learns from: batches of the replay, and when they are due."""
