"""Scorers: each says how good one answer is. A new one is one new file in this folder.

A run stores `{"name", "args"}` per scorer; `build` makes the scorer of it again, `key` names it in scores.
"""

import importlib
import pkgutil

from evals.scorers.panel import Panel
from evals.scorers.registry import Case, Scorer, ScoreValue, about, build, checked, key, names, scorer

__all__ = ["Case", "Panel", "ScoreValue", "Scorer", "about", "build", "checked", "key", "names", "scorer"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
