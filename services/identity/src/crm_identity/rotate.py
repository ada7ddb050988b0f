"""``python -m crm_identity.rotate``: introduce a new signing key. Nobody is logged out."""

import asyncio

from crm_identity.auth.keys import rotate_signing_key
from crm_kit.db import Database
from crm_kit.settings import Settings


async def rotate(settings: Settings) -> None:
    """Add a key to the database of these settings, and give the present one notice."""
    db = Database(settings.database_url, pool_size=1, application_name="rotate keys")
    try:
        async with db.begin() as conn:
            await rotate_signing_key(conn, settings.secret.get_secret_value())
    finally:
        await db.dispose()


if __name__ == "__main__":
    asyncio.run(rotate(Settings()))
