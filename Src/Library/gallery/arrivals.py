"""On which days originals came in, from the counter of hours: it grows with time, and not with the library."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

# Hours are counted by UTC, days by the clock of the factory: so a day may end within an hour, and of such an hour, and
# no other, the originals are counted one by one. A moment's day is looked up among the beginnings of all days, for its
# local time costs more. Where clocks are put back at midnight or soon after, a day begins with its first midnight.
_BY_DAYS = text("""
    WITH days AS MATERIALIZED (
        SELECT array_agg(day::date ORDER BY day) AS names,
            array_agg(
                timezone(:zone, day)
                    - CASE WHEN timezone(:zone, timezone(:zone, day) - interval '1 hour') >= day THEN interval '1 hour'
                        ELSE interval '0' END
                ORDER BY day
            ) AS begins
        FROM (SELECT timezone(:zone, min(hour)) AS first, timezone(:zone, max(hour)) AS last FROM ingest_hours) AS span,
            generate_series(date_trunc('day', first), last + interval '1 day', interval '1 day') AS day
    ), hours AS MATERIALIZED (
        SELECT hour, originals, width_bucket(hour, begins) AS day,
            width_bucket(hour + interval '3599.999999 seconds', begins) AS last_day
        FROM ingest_hours, days
    ), counted AS (
        SELECT day, originals FROM hours WHERE day = last_day
        UNION ALL
        SELECT width_bucket(ingested_at, begins), 1 FROM days, hours
        JOIN media_assets ON ingested_at >= hour AND ingested_at < hour + interval '1 hour' WHERE day <> last_day
    )
    SELECT (SELECT names[day] FROM days), sum(originals)::bigint FROM counted GROUP BY day ORDER BY day DESC
""")


def by_days(session: Session, zone: ZoneInfo) -> list[tuple[date, int]]:
    """Each day that has any, with their number, the newest first."""
    return [(day, number) for day, number in session.execute(_BY_DAYS, {"zone": str(zone)})]
