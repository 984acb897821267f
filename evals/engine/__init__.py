"""The engine of runs: what a worker does between a bell and the stored answers."""
