"""The names, owners and units of records that a unit of work has looked up."""

from collections.abc import Iterable, Mapping, Set
from typing import Any
from uuid import UUID

from crm_contracts.access import Depth, Privilege
from crm_kit.process.runtime import PRINCIPALS
from crm_kit.store.presenter import UNKNOWN, ReferenceName, Target, presenter_of
from crm_kit.store.record import OwnedRecord, Record
from crm_kit.work.link import Link


class Names(dict[UUID, ReferenceName]):
    """Names by id. Each is looked up at most once. Code that already has a name may add it."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._runtime, self._principal = link.runtime, link.principal

    async def learn(self, entity: type[Record], values: Iterable[Mapping[str, Any]], *, parts: bool = False) -> None:
        """Look up the names that the presentation of these rows needs.

        With ``parts`` it also looks up the records that parts refer to.
        """
        rows = list(values)
        directory = self._runtime.directory
        if issubclass(entity, OwnedRecord):
            owners = {row["owner_id"] for row in rows} - self.keys()
            unknown = {owner for owner in owners if directory.named(owner) is None}
            if unknown:
                await directory.learn(await self._link.connection(), unknown)
            for owner in owners:
                found = directory.named(owner)
                self[owner] = ReferenceName(found.name if found else None)
        presenter = presenter_of(entity)
        wanted: set[Target] = set()
        if presenter.references:
            wanted = {target for row in rows for target in presenter.points_at(row)}
        if parts and presenter.parts:
            wanted |= {target for row in rows for target in presenter.parts_point_at(row)}
        await self.learn_of(wanted)

    async def learn_of(self, wanted: Iterable[Target]) -> None:
        """Look up the names, owners and units of these records, unless they are known."""
        unknown = {target for target in wanted if target[1] not in self}
        if unknown:
            self.update(await self._runtime.name_lookup(await self._link.connection(), unknown))

    def hidden(self, targets: Iterable[Target]) -> Set[str]:
        """Return the ids of those targets that the caller may not read. Call ``learn`` with them before.

        Unknown records are hidden, too. Users, teams and API clients are never hidden.
        """
        found = set()
        for kind, record_id in targets:
            if self._reads_all(kind):
                continue
            named, tree = self.get(record_id, UNKNOWN), self._runtime.directory.tree
            if not self._principal.reach(kind, Privilege.READ, tree).covers(named.owner, named.unit):
                found.add(str(record_id))
        return found

    def _reads_all(self, kind: str) -> bool:
        return kind in PRINCIPALS or self._principal.depth(kind, Privilege.READ) is Depth.ORGANIZATION
