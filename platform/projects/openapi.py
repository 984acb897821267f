"""How the OpenAPI document says who may ask."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # a registry by metaclass, untyped
    """`Authorization: Bearer <key>`."""

    target_class = "projects.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key of one project, with scopes."}


class MemberScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """A signed-in session; `Ratchet-Project` names the project where there are several."""

    target_class = "projects.authentication.MemberAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A signed-in member."}
