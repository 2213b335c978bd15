"""PPO of other libraries on an `Env`, an iteration at a time: one module for each library, which imports it."""
