"""`crm revise SERVICE TITLE`: the next migration, with what the service's classes have and a migrated database lacks."""

from pathlib import Path
from secrets import token_hex

from crm_kit.schema.migrations import migrate, write_revision
from crm_kit.testing.databases import Databases
from crm_local.entrypoints import definition
from crm_local.servers import shared
from crm_local.suite import Service


def run(service: Service, title: str) -> Path:
    """Write the migration by a database that is made for it and dropped again; returns the file."""
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
