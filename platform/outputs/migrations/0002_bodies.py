"""The bodies of outputs: partitioned by month of arrival, referenced by nobody.

The model's state stands in 0001 (unmanaged: Django makes no partitioned tables). Rows of a month that has no
partition yet land in the default one and are moved when the month's is made.
"""

from django.db import migrations

MAKE = """
CREATE TABLE outputs_outputbody (
    output_id bigint NOT NULL,
    received_on date NOT NULL,
    input jsonb,
    output jsonb,
    error text,
    variables jsonb,
    metadata jsonb,
    prompt_name varchar(100) NOT NULL DEFAULT '',
    revision_ref varchar(64) NOT NULL DEFAULT '',
    PRIMARY KEY (output_id, received_on)
) PARTITION BY RANGE (received_on);
CREATE TABLE outputs_outputbody_rest PARTITION OF outputs_outputbody DEFAULT;
DO $$
DECLARE
    first date := date_trunc('month', now() AT TIME ZONE 'UTC');
BEGIN
    FOR ahead IN 0..2 LOOP
        EXECUTE format(
            'CREATE TABLE outputs_outputbody_%s PARTITION OF outputs_outputbody FOR VALUES FROM (%L) TO (%L)',
            to_char(first, 'YYYYMM'), first, (first + interval '1 month')::date
        );
        first := first + interval '1 month';
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("outputs", "0001_initial")]

    operations = [migrations.RunSQL(MAKE, "DROP TABLE outputs_outputbody")]
