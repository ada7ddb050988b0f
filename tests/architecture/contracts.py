"""Contract types that import-linter does not have: allow-lists, and the layers inside every slice."""

import sys
from graphlib import CycleError, TopologicalSorter
from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules

RANKS = {"routes": 4, "commands": 3, "schemas": 2, "model": 2, "domain": 1}


class AllowedImports(Contract):
    """``modules`` import only the standard library, each other, and what ``allowed`` names.

    Their indirect imports are limited to that and to what ``through`` names.
    """

    type_name = "allowed"

    modules = fields.SetField(subfield=fields.ModuleExpressionField())
    allowed = fields.SetField(subfield=fields.StringField())
    through = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Check every direct import of the modules, and everything that they import indirectly."""
        sources = {
            module.name
            for module in module_expressions_to_modules(graph, self.modules, as_packages=True)  # type: ignore[arg-type]  # a field descriptor
        }
        allowed: set[str] = self.allowed  # type: ignore[assignment]  # a field descriptor
        reachable: set[str] = allowed | (self.through or set())  # type: ignore[operator]  # a field descriptor
        broken = [
            f"{source} -> {target}"
            for source in sorted(sources)
            for target in sorted(graph.find_modules_directly_imported_by(source))
            if target not in sources and not _is_within(target, allowed)
        ]
        broken += [
            f"{source} -> … -> {target}"
            for source in sorted(sources)
            for target in sorted(graph.find_upstream_modules(source))
            if target not in sources and not _is_within(target, reachable)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import."""
        _render(check)


def _is_within(target: str, names: set[str]) -> bool:
    if target.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(target == name or target.startswith(f"{name}.") for name in names)


class Slices(Contract):
    """Inside a slice: routes > commands > schemas, model > domain; no imports of another slice's routes; no cycles."""

    type_name = "slices"

    services = fields.SetField(subfield=fields.StringField())
    mounts = fields.SetField(subfield=fields.StringField())
    """Modules of a service that assemble its routes."""

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Check every import between modules of one service."""
        services: set[str] = self.services  # type: ignore[assignment]  # a field descriptor
        broken = [line for service in sorted(services) for line in self._broken(graph, service)]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import."""
        _render(check)

    def _broken(self, graph: grimp.ImportGraph, service: str) -> list[str]:
        modules = sorted(name for name in graph.modules if name.startswith(f"{service}."))
        imports = {
            source: sorted(t for t in graph.find_modules_directly_imported_by(source) if t.startswith(f"{service}."))
            for source in modules
        }
        found = [
            f"{source} -> {target}"
            for source, targets in imports.items()
            for target in targets
            if not self._may_import(source, target)
        ]
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            found.append("cycle: " + " -> ".join(error.args[1]))
        return found

    def _may_import(self, source: str, target: str) -> bool:
        mounts: set[str] = self.mounts  # type: ignore[assignment]  # a field descriptor
        source_slice, _, source_file = source.rpartition(".")
        target_slice, _, target_file = target.rpartition(".")
        if "." not in target_slice:
            return True
        if target_file == "routes":
            return source.partition(".")[2] in mounts
        if source_slice != target_slice or source_file not in RANKS or target_file not in RANKS:
            return True
        return RANKS[source_file] >= RANKS[target_file]


def _render(check: ContractCheck) -> None:
    broken: list[Any] = check.metadata["broken"]
    for line in broken:
        output.print_error(line)
