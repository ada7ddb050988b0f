"""`crm revise SERVICE TITLE`: write the next migration from the difference between the service's classes and its
migrations."""

from pathlib import Path
from secrets import token_hex

from crm_kit.schema.migrations import migrate, write_revision
from crm_kit.testing.databases import Databases
from crm_local.entrypoints import definition
from crm_local.servers import shared
from crm_local.suite import Service


def run(service: Service, title: str) -> Path:
    """Write the migration with a temporary database. Return the file."""
    known = definition(service)
    shared.begin()
    try:
        databases = Databases(shared.servers().database_url)
        url = databases.create(f"revise_{token_hex(6)}")
        try:
            migrate(known.migrations, url, known.metadata)
            return write_revision(known.migrations, url, known.metadata, title)
        finally:
            databases.drop(url)
    finally:
        shared.end()
