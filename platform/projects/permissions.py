"""What an API view may do that forgot to say."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class NobodyByDefault(BasePermission):
    """A view that declares no scopes (`projects.endpoint`) opens for nobody."""

    def has_permission(self, request: Request, view: object) -> bool:
        return False
