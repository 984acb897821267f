"""The two web faces in one process: the ingest routes as bare ASGI, everything else as Django behind WSGI.

Django's part runs in threads. A body for it is received whole before a thread is taken, under the same limits
as the ingest face's, so that a slow sender holds no thread; nor does whoever waits for a verdict.
"""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()

# Only now, with Django set up, can models be imported.
from config import faces  # noqa: E402
from outputs.ingest import app as ingest_app  # noqa: E402
from outputs.ingest import uploads as uploads_app  # noqa: E402
from outputs.ingest.asgi import Receive, Scope, Send  # noqa: E402
from reviews.waiting import Waiting  # noqa: E402

THREADS = 12

ingest = ingest_app.Ingest()
uploads = uploads_app.Uploads()
# a2wsgi has its own names for the same shapes.
django = WSGIMiddleware(wsgi, workers=THREADS)  # type: ignore[arg-type]
waiting = Waiting(django)  # type: ignore[arg-type]
pages = faces.Buffered(waiting, limits=ingest.limits)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """What uvicorn serves."""
    if scope["type"] == "lifespan":
        await faces.live(receive, send, start=_start, stop=_stop)
    elif ingest_app.is_ours(scope):
        await ingest(scope, receive, send)
    elif uploads_app.is_ours(scope):
        await uploads(scope, receive, send)
    else:
        await pages(scope, receive, send)


async def _start() -> None:
    await ingest.start()
    await uploads.start()
    await waiting.start()
    # What stands now stays: no later search for garbage need go through all of Django.
    gc.collect()
    gc.freeze()


async def _stop() -> None:
    await waiting.stop()
    await uploads.stop()
    await ingest.stop()
