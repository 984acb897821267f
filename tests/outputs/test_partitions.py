"""A month's bodies stand in that month's partition, whenever it was made."""

import datetime as dt

import pytest
from django.db import connection

from outputs import tasks
from outputs.models import OutputBody
from outputs.services import partitions

pytestmark = pytest.mark.django_db

# Far ahead of what the migration makes.
NOW = dt.datetime(2041, 11, 30, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-1)))


def home_of(output_id: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass FROM outputs_outputbody WHERE output_id = %s", [output_id])
        (row,) = cursor.fetchall()
    return str(row[0])


def a_body(output_id: int, day: dt.date) -> None:
    OutputBody.objects.create(output_id=output_id, received_on=day, input="q", output="a")


def test_are_made_ahead_over_the_turn_of_the_year_and_once() -> None:
    months = ("204112", "204201", "204202")
    made = [f"{parent}_{month}" for parent in partitions.PARENTS for month in months]
    assert partitions.make_partitions(now=NOW) == made
    assert partitions.make_partitions(now=NOW) == []
    assert partitions.make_partitions(now=NOW, months_ahead=3) == [f"{parent}_204203" for parent in partitions.PARENTS]


def test_take_the_rows_of_their_month_and_no_others() -> None:
    partitions.make_partitions(now=NOW)
    days = [dt.date(2041, 11, 30), dt.date(2041, 12, 1), dt.date(2041, 12, 31), dt.date(2042, 1, 1)]
    for number, day in enumerate(days):
        a_body(-number - 1, day)
    names = ["rest", "204112", "204112", "204201"]
    assert [home_of(-number - 1) for number in range(4)] == [f"outputs_outputbody_{name}" for name in names]


def test_take_over_rows_that_came_before_them() -> None:
    a_body(-1, dt.date(2041, 12, 5))
    a_body(-2, dt.date(2043, 1, 1))
    assert home_of(-1) == "outputs_outputbody_rest"
    partitions.make_partitions(now=NOW)
    assert (home_of(-1), home_of(-2)) == ("outputs_outputbody_204112", "outputs_outputbody_rest")
    assert OutputBody.objects.get(output_id=-1).output == "a"


def test_the_task_twice_makes_what_is_missing_once() -> None:
    tasks.make_partitions()
    tasks.make_partitions()
    now = dt.datetime.now(dt.UTC)
    assert partitions.make_partitions(now=now) == []
    a_body(-1, now.date())
    assert home_of(-1) == f"outputs_outputbody_{now:%Y%m}"
