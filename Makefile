# Everything here stays inside the checkout: `.venv` (the environment), `.uv-bootstrap` (the installer and its cache), `var` (data).
.DEFAULT_GOAL := help
.PHONY: help demo up test check bench screenshots nightly clean
SHELL := /bin/sh

UV_VERSION := 0.13.9
BOOTSTRAP := .uv-bootstrap
UV := $(BOOTSTRAP)/bin/uv
STAMP := .venv/.ready
PY := .venv/bin/python
export UV_CACHE_DIR ?= $(CURDIR)/$(BOOTSTRAP)/cache
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:
	@echo "make demo      the whole loop with its own traffic; the site stays (EXIT=1: ends after the loop)"
	@echo "make up        an empty site"
	@echo "make test      the tests      make check    style, types, imports, migrations, deployment"
	@echo "make bench     the measurements (ONLY=ingest|reviews|evals, SIZE=small|full)"
	@echo "make screenshots  every page in both themes and widths as a picture in var/screens/"
	@echo "make nightly   the tests that take long, too"
	@echo "make clean     removes the environment and what tests left; data folders stay"
	@echo "RATCHET_HOME (data folder, default var) and PORT (default 8000) let several sites run side by side."

demo: $(STAMP)
	@$(PY) manage.py demo $(if $(EXIT),--exit)

up: $(STAMP)
	@$(PY) manage.py up

test: $(STAMP)
	$(PY) -m pytest -n 2

nightly: $(STAMP)
	$(PY) -m pytest -n 2 -m "nightly or not nightly"

bench: $(STAMP)
	@$(PY) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SIZE),--size $(SIZE))

screenshots: $(STAMP)
	@RATCHET_MODE=test RATCHET_HOME=var/screens-site PYTHONPATH=platform:. DJANGO_SETTINGS_MODULE=config.settings $(PY) -m tests.browser.screenshots $(if $(ONLY),--only $(ONLY)) $(if $(FRESH),--fresh)

check: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run
	@sh .ci/check-production $(PY)
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(UV) lock --check --offline

clean:
	rm -rf .venv $(BOOTSTRAP) var/test .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made once and again when the lock changes; after that nothing asks the network.
$(STAMP): pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --python $(BOOTSTRAP)/bin/python
	@touch $@

# uv comes by pip into a small environment of its own, so that it can make `.venv` without standing in it.
$(UV):
	@python=""; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Ratchet needs Python 3.11, 3.12 or 3.13; none is on the PATH. Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	echo "Setting up with $$("$$python" --version) (once)."; \
	"$$python" -m venv --clear $(BOOTSTRAP) || { \
	  echo "That Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(BOOTSTRAP); exit 1; }; \
	$(BOOTSTRAP)/bin/python -m pip install --quiet "uv==$(UV_VERSION)" || { \
	  echo "uv $(UV_VERSION) could not be fetched: the first set-up needs a package index (pip's settings apply)." >&2; rm -rf $(BOOTSTRAP); exit 1; }
