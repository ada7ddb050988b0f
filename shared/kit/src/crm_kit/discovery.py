"""The modules of a service, found by their names. Nobody keeps a list of them."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def of_slices(service: str, name: str) -> Iterator[ModuleType]:
    """Import ``<service>.<slice>.<name>`` for each slice that has such a module, sorted by the names of the slices.

    ``service`` is the name of a package (``crm_sales``), and ``name`` that of a module (``model``).
    """
    for slice_, is_package in _inside(service):
        if is_package and name in dict(_inside(f"{service}.{slice_}")):
            yield import_module(f"{service}.{slice_}.{name}")


def beside_slices(service: str, *names: str) -> Iterator[ModuleType]:
    """Import the modules of a service with these names. Of a package with such a name, import all modules."""
    for name, is_package in _inside(service):
        if name in names:
            yield import_module(f"{service}.{name}")
            if is_package:
                yield from (import_module(f"{service}.{name}.{inner}") for inner, _ in _inside(f"{service}.{name}"))


def _inside(package: str) -> list[tuple[str, bool]]:
    """Return the names of the modules in a package, sorted, and whether each is a package itself."""
    return sorted((found.name, found.ispkg) for found in iter_modules(import_module(package).__path__))
