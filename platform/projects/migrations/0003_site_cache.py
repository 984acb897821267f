"""The table of Django's database cache: limits on guessing passwords live here, shared by all web processes."""

from django.db import migrations

FORWARDS = """
CREATE UNLOGGED TABLE site_cache (
    cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL
);
CREATE INDEX site_cache_expires ON site_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_append_only_audit")]
    operations = [migrations.RunSQL(FORWARDS, "DROP TABLE site_cache")]
