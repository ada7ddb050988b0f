"""Sends the mails of the queue: takes one, gives it to its mail server, and stores what is known then, in transactions apart.

The database is not held while a server is spoken to. A worker that is killed leaves the row claimed. Another one takes it over
after the lease: it repeats what was not sent, and says of what was being sent that its delivery is uncertain.
"""

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from crm_activities.email.model import Email
from crm_activities.mail.bodies import read_body
from crm_activities.mail.outcomes import Attempt, Fate, Verdict, judge
from crm_activities.mail.outgoing import (
    CHANNEL,
    SOON,
    WAITING,
    Claimed,
    claim_mail,
    enter_data,
    leave_queue,
    try_again,
)
from crm_activities.mail.parts import CannotBeRead, files_of, read_parts
from crm_activities.mail.senders import Sender, Server, senders_of
from crm_activities.mail.smtp import Session
from crm_contracts.activities.email import (
    Delivery,
    DeliveryPhase,
    EmailDeferred,
    EmailFailed,
    EmailSent,
    EmailUncertain,
    EmailUpdated,
)
from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.errors import NotFound
from crm_kit.process.runtime import Runtime
from crm_kit.signals.metrics import counter, gauge
from crm_kit.store.outages import database_away, database_busy
from crm_kit.store.pace import Pace
from crm_kit.work.uow import UnitOfWork

if TYPE_CHECKING:
    from crm_activities.mail.composing import Message

log = structlog.get_logger(__name__)

LANES: Final = 3
"""Mails that one process sends at a time."""
LEASE: Final = timedelta(minutes=15)
"""How long a mail belongs to the worker that took it. Longer than the longest attempt."""
LONGEST_ATTEMPT: Final = LEASE - timedelta(minutes=2)
POLL_SECONDS: Final = 1.0
NOTE_SECONDS: Final = 60.0
"""Between two lines of the log about the same trouble."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

ATTEMPTS = counter("crm.mail.attempts", "Attempts to deliver a mail, by what became of it.", "fate")
UNREACHABLE = counter("crm.mail.unreachable", "Attempts that did not come as far as the envelope.", "server")
QUEUED = gauge("crm.mail.queued", "Mails that wait to be sent, at most 100,000.")
OLDEST = gauge("crm.mail.oldest", "Age of the mail that waits the longest.", unit="s")


class MailLoop:
    """Sends queued mails until stopped."""

    def __init__(self, runtime: Runtime, lease: timedelta = LEASE) -> None:
        self._runtime, self._lease = runtime, lease
        self._senders = senders_of(runtime)
        self._pace = Pace(runtime.notifier, CHANNEL, POLL_SECONDS)
        self._stopping = asyncio.Event()
        self._noted: dict[str, float] = {}

    def stop(self) -> None:
        """Return from ``run`` after the current mails."""
        self._stopping.set()
        self._pace.wake()

    async def run(self) -> None:
        """Send until stopped. It waits while the database is unavailable, and while there is no sender."""
        pause = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._stopping.is_set():
            try:
                found = await self._look()
                pause.reset()
            except Exception as error:
                if not (database_away(error) or database_busy(error)):
                    log.exception("mail.failed")
                await pause.wait(self._stopping)
                continue
            await self._pace.rest(found=found)

    async def _look(self) -> bool:
        """Send what is due. Returns whether more is due soon."""
        async with self._runtime.db.autocommit() as conn:
            waiting: Any = (await conn.exec_driver_sql(WAITING)).one()
            count, oldest = waiting
            QUEUED.labels().set(count)
            OLDEST.labels().set((clock.now() - oldest).total_seconds() if oldest else 0.0)
            soon = clock.now() + timedelta(seconds=10)
            if not count or not (await conn.exec_driver_sql(SOON, (soon,))).scalar_one():
                return False
        if not self._senders.senders:
            self._note("none", "mail.no_sender", queued=count, remedy="set CRM_MAIL_SENDERS")
            return False
        await self.send_due()
        return True

    async def send_due(self) -> int:
        """Send every mail that is due now; returns the number of attempts."""
        # A lane that fails does not end the others, which may be in the middle of a mail.
        lanes = await asyncio.gather(*(self._lane() for _ in range(LANES)), return_exceptions=True)
        for one in lanes:
            if isinstance(one, BaseException):
                raise one
        return sum(one for one in lanes if isinstance(one, int))

    async def _lane(self) -> int:
        """Send one mail after another. The connection to a server is kept while there is a next one for it."""
        session: Session | None = None
        made = 0
        try:
            while not self._stopping.is_set():
                async with self._runtime.db.begin() as conn:
                    mail = await claim_mail(conn, clock.now(), self._lease)
                if mail is None:
                    break
                made += 1
                session = await self._send(mail, session)
        finally:
            if session is not None:
                await session.close()
        return made

    async def _send(self, mail: Claimed, session: Session | None) -> Session | None:
        if mail.was_in_data:
            lost = "The worker ended while it sent the mail."
            await self._settle(mail, Attempt(DeliveryPhase.DATA, lost, silent=True))
            return session
        prepared = await self._prepare(mail)
        if prepared is None:
            return session
        if isinstance(prepared, Attempt):
            await self._settle(mail, prepared)
            return session
        sender, envelope, message = prepared
        session = await _session_for(sender.server, session)
        try:
            async with asyncio.timeout(min(self._lease, LONGEST_ATTEMPT).total_seconds()):
                attempt = await session.deliver(envelope, mail.recipients, message, partial(self._enter_data, mail))
        except TimeoutError:
            # Whether the content was sent says the row: this worker or the next one reads it.
            await session.close()
            return None
        if attempt is not None:
            self._observe(sender.server, attempt)
            await self._settle(mail, attempt)
        return session

    async def _enter_data(self, mail: Claimed) -> bool:
        async with self._runtime.db.begin() as conn:
            return await enter_data(conn, mail)

    async def _prepare(self, mail: Claimed) -> "tuple[Sender, str, Message] | Attempt | None":
        """Return sender, envelope and message; or why the mail cannot be sent; None if it was deleted."""
        from crm_activities.mail.composing import CannotBeWritten, Outgoing, compose

        async with self._runtime.db.begin() as conn:
            uow = UnitOfWork.for_timer(conn, self._runtime)
            try:
                email = await uow.load(Email, mail.email_id)
            except NotFound:
                return None
            body = await read_body(uow, email.id)
            files = await files_of(uow, email.id)
        sender = self._senders.find(email.sender)
        if sender is None:
            return Attempt(DeliveryPhase.SETUP, f"The settings have no sender {email.sender} any more.")
        try:
            parts = await read_parts(self._runtime, files)
            message = compose(
                Outgoing(
                    message_id=email.message_id,
                    subject=email.subject,
                    sender=sender.address,
                    sender_name=sender.name,
                    parties=email.parties,
                    at=clock.now(),
                    text=body.text,
                    html=body.html,
                    in_reply_to=email.in_reply_to,
                    references=email.references,
                    automatic=email.automatic,
                    calendar=body.calendar,
                    parts=parts,
                )
            )
        except CannotBeRead as error:
            return Attempt(DeliveryPhase.SETUP, str(error))
        except CannotBeWritten as error:
            return Attempt(DeliveryPhase.SETUP, str(error), permanent=True)
        return sender, "" if mail.null_sender else sender.envelope(email.id), message

    async def _settle(self, mail: Claimed, attempt: Attempt) -> None:
        """Store what is known after an attempt, with its event."""
        async with self._runtime.db.begin() as conn:
            uow = UnitOfWork.for_timer(conn, self._runtime)
            try:
                email = await uow.load(Email, mail.email_id)
            except NotFound:
                return
            verdict = judge(
                attempt,
                mail.recipients,
                attempts=mail.attempts,
                queued_at=mail.queued_at,
                now=uow.now,
                sent_before=email.sent_at is not None,
            )
            if not await self._is_still_ours(uow, mail, email, verdict):
                return
            ATTEMPTS.labels(verdict.fate.value).inc()
            note_verdict(uow, email, mail.attempts, attempt, verdict)
            await uow.flush()
        uow.announce()

    async def _is_still_ours(self, uow: UnitOfWork, mail: Claimed, email: Email, verdict: Verdict) -> bool:
        """Take the mail from the queue, or put it back. False if another worker took it over and knows no less."""
        if verdict.fate is Fate.DEFERRED:
            assert verdict.again_at is not None  # it is deferred
            return await try_again(uow, mail, verdict.remaining, verdict.again_at)
        if await leave_queue(uow, mail):
            return True
        # The other worker could only say that the delivery is uncertain. The answer came late.
        return verdict.fate is Fate.SENT and email.delivery == Delivery.UNCERTAIN

    def _observe(self, server: Server, attempt: Attempt) -> None:
        if attempt.phase in (DeliveryPhase.CONNECT, DeliveryPhase.LOGIN):
            place = f"{server.host}:{server.port}"
            UNREACHABLE.labels(place).inc()
            self._note(place, "mail.unreachable", server=place, phase=attempt.phase.value, answer=attempt.answer)

    def _note(self, what: str, event: str, **facts: object) -> None:
        """Write one line a minute about the same trouble."""
        now = clock.monotonic()
        if now - self._noted.get(what, -NOTE_SECONDS) >= NOTE_SECONDS:
            self._noted[what] = now
            log.warning(event, **facts)


async def _session_for(server: Server, session: Session | None) -> Session:
    if session is not None and session.server == server:
        return session
    if session is not None:
        await session.close()
    return Session(server)


def note_verdict(uow: UnitOfWork, email: Email, attempts: int, attempt: Attempt, verdict: Verdict) -> None:
    """Change the mail by a verdict, and announce it."""
    email.note_attempt(attempts, attempt.phase, attempt.answer)
    if verdict.undelivered:
        named = [{"address": address, "answer": answer[:500]} for address, answer in verdict.undelivered]
        email.undelivered = [*email.undelivered, *named]
    if email.status_reason != "pending_send":
        # Something else settled it while it was on its way. Only what this attempt learnt is added.
        uow.emit_if_changed(email, EmailUpdated)
        return
    known = email.delivery
    match verdict.fate:
        case Fate.SENT:
            email.deliver(email.sent_at or uow.now)
            if known in (Delivery.BOUNCED, Delivery.COMPLAINED):
                # What a recipient's server or a recipient said of it says more than that the last server took it.
                email.delivery = known
            uow.emit(email, EmailSent, sent_at=email.sent_at)
        case Fate.FAILED:
            email.fail()
            uow.emit(email, EmailFailed, phase=attempt.phase)
        case Fate.UNCERTAIN:
            email.delivery = Delivery.UNCERTAIN
            uow.emit(email, EmailUncertain)
        case Fate.DEFERRED:
            if attempt.taken and email.sent_at is None:
                email.sent_at = uow.now
            uow.emit(email, EmailDeferred, phase=attempt.phase, next_attempt_at=verdict.again_at)
