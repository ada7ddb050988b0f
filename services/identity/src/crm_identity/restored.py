"""The clean-up of a restored database: sessions that ended after the backup would be open again."""

from crm_identity.auth.sessions import end_all_sessions
from crm_kit import clock
from crm_kit.store.database import Database


async def end_sessions(database_url: str) -> int:
    """End every session. Return the number of sessions."""
    db = Database(database_url, pool_size=1, application_name="restore")
    try:
        async with db.begin() as conn:
            return await end_all_sessions(conn, clock.now())
    finally:
        await db.dispose()
