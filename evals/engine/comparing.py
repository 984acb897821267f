"""One comparison from claim to result."""

import datetime as dt
import logging

from django.db import InterfaceError, OperationalError

from evals.engine.keeper import kept
from evals.models import Comparison, Errand
from evals.services import comparisons, errands

logger = logging.getLogger(__name__)


def work_out(comparison_id: int, *, now: dt.datetime) -> None:
    """The comparison has its result, or has failed and says why; one finished or in other hands is left alone.

    For workers: it resamples. The database's own errors pass, and are tried again.
    """
    errand = errands.claim(Comparison, comparison_id, now=now)
    if errand is None:
        return
    try:
        with kept(errand):
            result = comparisons.result_of(errand.candidate, errand.baseline)
    except (OperationalError, InterfaceError):
        raise
    except Exception as fault:
        # A fault would come again at every attempt, and the page would wait for ever.
        logger.exception("comparison %d could not be worked out", comparison_id)
        error = f"a fault of this server ({type(fault).__name__}); see its log"
        errands.finish(errand, state=Errand.State.FAILED, now=now, error=error)
        return
    errands.finish(errand, state=Errand.State.DONE, now=now, result=result)
