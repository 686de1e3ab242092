"""On which days originals came in, from the counter of hours: it grows with time, and not with the library."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

# Hours are counted by UTC, days by the clock of the factory. Where these are half an hour apart, a day ends within an
# hour; of such an hour, and no other, the originals are counted one by one. A clock is also put back within an hour
# (Newfoundland at one minute past midnight, until 2011): so its middle is looked at, too.
_BY_DAYS = text("""
    WITH hours AS MATERIALIZED (
        SELECT hour, originals, timezone(:zone, hour)::date AS day,
            timezone(:zone, hour)::date = timezone(:zone, hour + interval '30 minutes')::date
            AND timezone(:zone, hour)::date = timezone(:zone, hour + interval '3599.999999 seconds')::date
            AS is_of_one_day
        FROM ingest_hours
    )
    SELECT day, sum(originals)::bigint FROM (
        SELECT day, originals FROM hours WHERE is_of_one_day
        UNION ALL
        SELECT timezone(:zone, ingested_at)::date, 1 FROM hours
        JOIN media_assets ON ingested_at >= hour AND ingested_at < hour + interval '1 hour' WHERE NOT is_of_one_day
    ) AS counted GROUP BY 1 ORDER BY 1 DESC
""")


def by_days(session: Session, zone: ZoneInfo) -> list[tuple[date, int]]:
    """Each day that has any, with their number, the newest first."""
    return [(day, number) for day, number in session.execute(_BY_DAYS, {"zone": str(zone)})]
