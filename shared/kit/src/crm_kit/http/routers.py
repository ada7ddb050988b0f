"""The routers of a service, found in the ``routes`` of its slices."""

from fastapi import APIRouter

from crm_kit.discovery import of_slices


def find_routers(service: str) -> list[APIRouter]:
    """Import ``routes`` of each slice, and return the routers in them: by slice, and within one as they are written.

    ``service`` is the name of the package (``crm_sales``).
    """
    return [
        one for module in of_slices(service, "routes") for one in vars(module).values() if isinstance(one, APIRouter)
    ]
