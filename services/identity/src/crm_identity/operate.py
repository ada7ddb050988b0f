"""``python -m crm_identity.operate``: manage users as an operator (``crm users``).

An operator needs no session: whoever has access to identity's database has all rights. Changes use the same commands as
elsewhere, with events and history, under the actor ``operator:<login on the machine>``.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.exc import SQLAlchemyError

from crm_contracts.identity import UserUpdated
from crm_contracts.types import login_email
from crm_identity.app import SERVICE
from crm_identity.auth import lockout
from crm_identity.auth.passwords import NewPassword
from crm_identity.auth.throttle import account_key
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.user import commands
from crm_identity.user.model import User
from crm_identity.user.schemas import PasswordReset, UserCreate, UserUpdate
from crm_kit import clock
from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.errors import DomainError
from crm_kit.http.phrases import of_rule
from crm_kit.identifiers import ASCII_FOLD, fold
from crm_kit.network.postgres import told
from crm_kit.operators import operator_name
from crm_kit.process.runtime import Runtime, build_runtime
from crm_kit.store.record import new_id
from crm_kit.work.announcing import Cause
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork, system_principal

LIST = """
select u.id, u.email, u.name, u.status, c.user_id is not null, $1 = any(u.role_ids)
    or exists (select from team t where t.id = any(u.team_ids) and $1 = any(t.role_ids))
from user_account u left join credential c on c.user_id = u.id order by u.email, u.id
"""

LOCKS = "select key, locked_until from failed_login where locked_until > $1"

BY_EMAIL = f"select id from user_account where {ASCII_FOLD.format('email')} = $1"  # noqa: S608  # a constant


class NoSuchUser(Exception):
    """No user has this e-mail address."""


def main(argv: Sequence[str]) -> int:
    """Run one command. Return its exit code: 0 success, 1 failure, 2 usage error."""
    arguments = _parser().parse_args(argv)
    try:
        asyncio.run(_run(arguments))
    except NoSuchUser:
        return _fail(f"there is no user with the e-mail address {arguments.email}; see: crm users list")
    except DomainError as error:
        return _fail(error.detail)
    except ValidationError as error:
        return _fail(of_rule(dict(error.errors()[0])))
    except PydanticCustomError as error:
        return _fail(f"{arguments.email}: {error.message()}")
    except (SQLAlchemyError, OSError) as error:
        return _fail(f"the database cannot be used: {told(error)}")
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm users", description="List users and restore their access.")
    parsers = parser.add_subparsers(dest="command", required=True)
    parsers.add_parser("list", help="list all users with their state, administrator role and lock-out")
    unlock = parsers.add_parser("unlock", help="end a lock-out after failed log-ins")
    reset = parsers.add_parser("reset-password", help="set a user's password; this ends sessions and lock-outs")
    restore = parsers.add_parser(
        "restore", help="make a user an active administrator with a new password; create the user if there is none"
    )
    for command in (unlock, reset, restore):
        command.add_argument("email", help="the user's e-mail address")
    for command in (reset, restore):
        command.add_argument(
            "--stdin",
            action="store_true",
            help="read the password from standard input; by default one is generated and printed",
        )
    restore.add_argument("--name", default="Administrator", help="name of a new user")
    return parser


async def _run(arguments: argparse.Namespace) -> None:
    async with _runtime() as runtime:
        match arguments.command:
            case "list":
                for line in await list_users(runtime):
                    sys.stdout.write(f"{line}\n")
            case "unlock":
                await unlock(runtime, arguments.email)
                sys.stdout.write(f"{arguments.email} can log in again\n")
            case "reset-password":
                password = _password(given=arguments.stdin)
                await reset_password(runtime, arguments.email, password)
                _tell(arguments, password)
            case "restore":
                password = _password(given=arguments.stdin)
                await restore(runtime, arguments.email, arguments.name, password)
                _tell(arguments, password)


def _password(*, given: bool) -> str:
    """Return the password from standard input if ``given``, else a random one."""
    if not given:
        return secrets.token_urlsafe(15)
    return TypeAdapter(NewPassword).validate_python(sys.stdin.readline().rstrip("\r\n"))


def _tell(arguments: argparse.Namespace, password: str) -> None:
    how = "the given password" if arguments.stdin else f"password {password} (shown only this once)"
    sys.stdout.write(f"{arguments.email} logs in with {how}\n")


@asynccontextmanager
async def _runtime() -> AsyncIterator[Runtime]:
    runtime = build_runtime(SERVICE, read(Settings))
    try:
        await runtime.directory.refresh()
        yield runtime
    finally:
        await runtime.db.dispose()


@asynccontextmanager
async def _acting(runtime: Runtime) -> AsyncIterator[UnitOfWork]:
    """A unit of work with all rights, whose actor is the operator."""
    cause = Cause(str(new_id()), actor=f"operator:{operator_name()[:60]}")
    async with runtime.db.begin() as conn:
        uow = UnitOfWork(runtime, system_principal(runtime.service), cause, conn=conn)
        yield uow
        await uow.flush()
        # Sent with the commit: the relay publishes the revocation at once.
        await conn.exec_driver_sql("select pg_notify($1, '')", (WAKE_CHANNEL,))


async def list_users(runtime: Runtime) -> list[str]:
    """Return a header line, and a line for each user."""
    async with runtime.db.autocommit() as conn:
        users: Sequence[Any] = (await conn.exec_driver_sql(LIST, (ADMINISTRATOR_ID,))).all()
        locked: Sequence[Any] = (await conn.exec_driver_sql(LOCKS, (clock.now(),))).all()
    locks: dict[str, Any] = {}
    for key, until in locked:
        account = ":".join(key.split(":")[:2])
        locks[account] = max(until, locks.get(account, until))
    table = [("E-MAIL", "NAME", "STATE")]
    for _, email, name, status, has_password, is_administrator in users:
        until = locks.get(account_key(email))
        marks = [
            status,
            *(["administrator"] if is_administrator else []),
            *([] if has_password else ["no password"]),
            *([f"locked until {until:%Y-%m-%d %H:%M:%S} UTC"] if until else []),
        ]
        table.append((email, name, ", ".join(marks)))
    widths = [max(len(row[column]) for row in table) for column in (0, 1)]
    return [f"{email:<{widths[0]}}  {name:<{widths[1]}}  {state}" for email, name, state in table]


async def unlock(runtime: Runtime, email: str) -> None:
    """End a lock-out and record it in the user's history. Raises ``NoSuchUser``."""
    async with _acting(runtime) as uow:
        user = await uow.load(User, await _user_id(uow, email))
        await lockout.unlock(await uow.connection(), account_key(user.email))
        uow.emit(user, UserUpdated)


async def reset_password(runtime: Runtime, email: str, password: str) -> None:
    """Set a user's password. This ends all sessions, tokens and lock-outs of the user. Raises ``NoSuchUser``."""
    async with _acting(runtime) as uow:
        await commands.reset_password(uow, await _user_id(uow, email), PasswordReset(password=password))


async def restore(runtime: Runtime, email: str, name: str, password: str) -> None:
    """Make the user of this address an active administrator with this password. Create the user if there is none."""
    async with _acting(runtime) as uow:
        try:
            user_id = await _user_id(uow, email)
        except NoSuchUser:
            await commands.create_user(
                uow,
                UserCreate(
                    email=login_email(email),
                    name=name,
                    business_unit_id=ROOT_ID,
                    role_ids=[ADMINISTRATOR_ID],
                    password=password,
                ),
            )
            return
        user = await uow.load(User, user_id)
        if user.status != "active":
            await commands.enable_user(uow, user_id)
            await uow.flush()
        if ADMINISTRATOR_ID not in user.role_ids:
            await commands.update_user(uow, user_id, UserUpdate(role_ids=[*user.role_ids, ADMINISTRATOR_ID]))
            await uow.flush()
        await commands.reset_password(uow, user_id, PasswordReset(password=password))


async def _user_id(uow: UnitOfWork, email: str) -> UUID:
    found = await (await uow.connection()).exec_driver_sql(BY_EMAIL, (fold(email),))
    user_id: UUID | None = found.scalar_one_or_none()
    if user_id is None:
        raise NoSuchUser
    return user_id


if __name__ == "__main__":
    # In a container the first argument is the name of the command: `start.py operate list`.
    words = sys.argv[1:]
    sys.exit(main(words[1:] if words[:1] == ["operate"] else words))
