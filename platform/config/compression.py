"""Pages, styles and scripts travel compressed, to a fifth of their size; what the API answers stays as it is."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

COMPRESSED = ("text/html", "text/css", "text/javascript", "image/svg+xml")


class PagesCompressed(GZipMiddleware):
    """Django's own, which hides the length of a secret (BREACH) by padding, for what browsers load alone.

    Answers of the API are small or are read by programs in the same house: there it would cost more than it saves.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith(COMPRESSED):
            return response
        return super().process_response(request, response)
