"""PostgreSQL's engine without a server behind it (Django asks for a module of this name)."""

from typing import Any, NoReturn

from django.db.backends.postgresql import base
from django.db.utils import OperationalError

MESSAGE = (
    "No database is known: DATABASE_URL is not set and no site runs on this data folder ({home}). "
    "Start one with `make up`, or set DATABASE_URL; a site with another data folder is found by RATCHET_HOME."
)


class DatabaseWrapper(base.DatabaseWrapper):
    """Refuses every connection with the advice above; models, migrations and checks still load."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> NoReturn:
        """Raises OperationalError, always."""
        raise OperationalError(MESSAGE.format(home=self.settings_dict.get("OPTIONS", {}).get("home", "")))

    def get_connection_params(self) -> dict[str, Any]:
        """There is nothing to connect with."""
        return {}
