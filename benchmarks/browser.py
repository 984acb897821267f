"""Somebody signed in who looks at pages, over one kept connection."""

import http.client
import re
import time
import urllib.parse


class Browser:
    """A person's connection, signed in.

    Args:
        port: of the site.
        email: of the person.
        password: as `create_user` printed it.
    """

    def __init__(self, port: int, email: str, password: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.ask("GET", "/login/"))
        if token is None:
            raise RuntimeError("the door has no form")
        said = {"username": email, "password": password, "csrfmiddlewaretoken": token[1]}
        self.ask("POST", "/login/", urllib.parse.urlencode(said))

    def looks(self, path: str, n: int, *, wanted: str = "") -> list[float]:
        """The seconds of n looks at a page.

        Raises:
            RuntimeError: it is not there, or says nothing of `wanted`.
        """
        times = []
        for _ in range(n):
            start = time.perf_counter()
            page = self.ask("GET", path)
            times.append(time.perf_counter() - start)
            if wanted not in page:
                raise RuntimeError(f"{path} says nothing of {wanted!r}: {page[:400]}")
        return times

    def ask(self, method: str, path: str, body: str | None = None) -> str:
        """The answer's text.

        Raises:
            RuntimeError: it is an error's.
        """
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        text = answer.read().decode()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:400]}")
        return text
