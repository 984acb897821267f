"""`python -m benchmarks [--only ingest|evals|…] [--size small|full]`: measure, print a table, write `bench.json`."""

import sys

from benchmarks import run

if __name__ == "__main__":
    sys.exit(run.main(sys.argv[1:]))
