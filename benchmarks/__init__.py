"""How fast Ratchet is, always beside a limit measured in the same run: `python -m benchmarks`."""
