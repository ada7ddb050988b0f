"""What a unit of work knows of the names of records, and who may read them."""

from collections.abc import Iterable, Mapping, Set
from typing import Any
from uuid import UUID

from crm_contracts.access import Depth, Privilege
from crm_kit.process.runtime import PRINCIPALS
from crm_kit.store.presenter import UNKNOWN, ReferenceName, Target, presenter_of
from crm_kit.store.record import OwnedRecord, Record
from crm_kit.work.link import Link


class Names(dict[UUID, ReferenceName]):
    """Names by id: looked up at most once, or put here by who has them in hand."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._runtime, self._principal = link.runtime, link.principal

    async def learn(self, entity: type[Record], values: Iterable[Mapping[str, Any]], *, parts: bool = False) -> None:
        """Look up the names that the presentation of these rows needs: at most one statement, mostly none. For an answer
        also whose those records are that ``parts`` refer to, as far as the caller might not read one."""
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
            pointed = (target for row in rows for target in presenter.parts_point_at(row))
            wanted |= {target for target in pointed if not self._reads_all(target[0])}
        await self.learn_of(wanted)

    async def learn_of(self, wanted: Iterable[Target]) -> None:
        """Look up what these records are called and whose they are, where that is not known yet."""
        unknown = {target for target in wanted if target[1] not in self}
        if unknown:
            self.update(await self._runtime.name_lookup(await self._link.connection(), unknown))

    def hidden(self, targets: Iterable[Target]) -> Set[str]:
        """The ids of those that the caller may not read now, of records that ``learn`` asked about. What is not known
        here is hidden, too, and who users, teams and API clients are is hidden from nobody."""
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
