"""Repairs the suite after the database of one service was restored from a backup, and those of others were not."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from crm_kit.events.consumers import Group
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.epochs import Epoch, begin_epoch
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling.compare import SETTLE_SECONDS, Comparison, Drained, Report
from crm_kit.reconciling.parties import Party, Publisher
from crm_kit.reconciling.rebuild import Rebuild, Rebuilt
from crm_kit.reconciling.steps import carry_over
from crm_kit.schema import v0004_epochs
from crm_kit.schema.migrations import revision_with

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """A group of a service, and a service that it follows."""

    follower: str
    group: Group
    publisher: str


class Suite:
    """All services of a deployment. Each is opened at its first use."""

    def __init__(self, parties: Mapping[str, Party], stack: AsyncExitStack) -> None:
        self.parties = parties
        self._stack = stack
        self._opened: dict[str, Runtime] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, parties: Mapping[str, Party]) -> "AsyncIterator[Suite]":
        """Yield a suite whose services are closed at the end of the context."""
        async with AsyncExitStack() as stack:
            yield cls(parties, stack)

    def pairs(self, followers: Sequence[str] | None = None, publishers: Sequence[str] | None = None) -> list[Pair]:
        """Return each group with each service that it follows. The arguments limit the services; None means all."""
        return [
            Pair(name, group, publisher)
            for name, party in self.parties.items()
            if followers is None or name in followers
            for group in party.consumers.groups.values()
            for publisher in self.parties
            if (publishers is None or publisher in publishers) and group.followed(publisher)
        ]

    async def begin_epoch(self, name: str, *, reason: str, tell: Tell) -> Epoch:
        """Begin a new epoch of a restored service, and let the steps of all services continue from there.

        Raises NoEpochs and InTheWay.
        """
        epoch = await self.start_epoch(name, reason=reason, tell=tell)
        await self.carry_over(name, epoch, tell)
        return epoch

    async def start_epoch(self, name: str, *, reason: str, tell: Tell) -> Epoch:
        """Begin the epoch in the service's own database, without changing others. Raises NoEpochs and InTheWay."""
        followers = {pair.follower for pair in self.pairs(publishers=[name])}
        others = [self.parties[other].url for other in sorted(followers - {name})]
        package = self.parties[name].service.migrations
        since = revision_with(package, v0004_epochs) if package else ""
        url = self.parties[name].url
        epoch = await begin_epoch(name, url, reason=reason, others=others, compatible_from=since, tell=tell)
        tell(f"{name} is in epoch {epoch.number}")
        return epoch

    async def carry_over(self, name: str, epoch: Epoch, tell: Tell) -> None:
        """Let the steps that follow a restored service continue from the beginning of its epoch."""
        for pair in self.pairs(publishers=[name]):
            if pair.group.kind == "step":
                follower = await self.runtime(pair.follower)
                count = await carry_over(follower, pair.group, await self._publisher(pair), epoch)
                tell(f"{pair.group.name}: {count} records continue from the restore of {name}")

    async def rebuild(self, pair: Pair, tell: Tell, *, anew: bool = False) -> Rebuilt:
        """Rebuild a projection group's copies of a service's records."""
        follower = await self.runtime(pair.follower)
        dispatcher = Dispatcher(self.parties[pair.follower].consumers, follower)
        return await Rebuild(follower, dispatcher, pair.group, await self._publisher(pair), tell).run(anew=anew)

    async def compare(self, pair: Pair, drained: Drained, seconds: float = SETTLE_SECONDS) -> Report:
        """Compare a group with the service that it follows."""
        follower = await self.runtime(pair.follower)
        return await Comparison(follower, pair.group, await self._publisher(pair), drained).run(seconds)

    async def _publisher(self, pair: Pair) -> Publisher:
        service = self.parties[pair.publisher].service
        return Publisher(service, await self.runtime(pair.publisher), pair.group.followed(pair.publisher))

    async def runtime(self, name: str) -> Runtime:
        """Return the runtime of a service, and open it if necessary."""
        if name not in self._opened:
            self._opened[name] = await self._stack.enter_async_context(self.parties[name].opened())
        return self._opened[name]
