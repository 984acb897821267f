"""Audit events are added and never changed: the database refuses UPDATE and DELETE, whoever asks."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION projects_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON projects_auditevent
    FOR EACH ROW EXECUTE FUNCTION projects_audit_is_append_only();
"""
BACKWARDS = """
DROP TRIGGER audit_append_only ON projects_auditevent;
DROP FUNCTION projects_audit_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
