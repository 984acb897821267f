"""A worker of its own: takes these imports in turn and says after each how much memory it ever held (in kB)."""

import os
import resource
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402

database, address, *ids = sys.argv[1:]
settings.DATABASES["default"]["NAME"] = connections["default"].settings_dict["NAME"] = database

from outputs import importing  # noqa: E402

for import_id in ids:
    while importing.take(int(import_id), address=address):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
