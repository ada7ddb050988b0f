"""``python -m crm_identity.rotate``: add a new signing key. Nobody is logged out."""

import asyncio
import sys

from crm_identity.auth.keys import rotate_signing_key
from crm_identity.settings import own_settings
from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.store.database import Database


async def rotate(settings: Settings) -> str:
    """Add a key to the database of these settings and retire the current one. Return the id of the new key."""
    db = Database(settings.session_url, pool_size=1, application_name="rotate keys")
    try:
        async with db.begin() as conn:
            return await rotate_signing_key(conn, settings.secret.get_secret_value())
    finally:
        await db.dispose()


if __name__ == "__main__":
    seconds = own_settings().key_introduction_seconds
    kid = asyncio.run(rotate(read(Settings)))
    sys.stdout.write(
        f"key {kid} is published and signs in {seconds} s; the previous key stays valid for half an hour\n"
    )
