"""A Dovecot of our own on a free port, with mailboxes that tests fill."""

import grp
import imaplib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crm_activities.inbound_mail.settings import Mailbox
from crm_local import ports
from crm_local.accounts import Account, own_directory, server_account, write_private
from crm_local.processes import Command, stop, wait_until
from crm_local.servers import NoServer, packages, remove_directory

PASSWORD = "only-for-tests"
CONFIGURATION = """
protocols = imap
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{directory}/mail/%u
first_valid_uid = 0
first_valid_gid = 0
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """The server. A mailbox exists when somebody logs in."""

    port: int
    configuration: Path
    account: Account | None

    def mailbox(self, name: str, folder: str = "INBOX") -> Mailbox:
        """The settings of a mailbox."""
        server = f"imap://{name.replace('@', '%40')}:{PASSWORD}@127.0.0.1:{self.port}?tls=none"
        return Mailbox(name=name, server=server, folder=folder)

    @contextmanager
    def open(self, name: str) -> Iterator[imaplib.IMAP4]:
        """A client of a mailbox, for tests."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        try:
            client.login(name, PASSWORD)
            yield client
        finally:
            client.logout()

    def set_uids(self, name: str, *options: str) -> None:
        """Change the UIDs that an inbox gives, by options of `doveadm mailbox update`."""
        admin = shutil.which("doveadm", path=f"{os.environ.get('PATH', '')}:/usr/bin")
        assert admin is not None
        command = [admin, "-c", str(self.configuration), "mailbox", "update", "-u", name, *options, "INBOX"]
        uid, gid = (self.account.uid, self.account.gid) if self.account else (None, None)
        subprocess.run(command, check=True, user=uid, group=gid, cwd=self.configuration.parent, capture_output=True)

    def fill(self, name: str, *mails: bytes, folder: str = "INBOX") -> None:
        """Put mails into a mailbox, as its server would on delivery."""
        with self.open(name) as client:
            for one in mails:
                status, answer = client.append(folder, "", "", one)
                assert status == "OK", answer


def program() -> str:
    """The path of Dovecot. It is installed if that is possible. Raises NoServer otherwise, as for the other servers."""
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None and packages.can_install():
        packages.install(packages.DOVECOT)
        found = shutil.which("dovecot", path="/usr/sbin")
    if found is None:
        raise NoServer("Dovecot is missing. Install it (apt-get install dovecot-imapd), or run the tests as root.")
    return found


@contextmanager
def running() -> Iterator[Dovecot]:
    """Start a server, and remove it with its mails at the end."""
    binary, port = program(), ports.choose(1)[0]
    account = server_account("dovecot", "postgres")
    place = Path(tempfile.mkdtemp(prefix="liaison-dovecot-"))
    own_directory(place, account)
    user = account.name if account else pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(account.gid if account else os.getgid()).gr_name
    text = CONFIGURATION.format(directory=place, user=user, group=group, port=port, password=PASSWORD)
    configured = write_private(place / "dovecot.conf", text, account)
    process = Command(
        "dovecot", (binary, "-F", "-c", str(configured)), place / "start.log", place, account=account
    ).start()
    try:
        if not wait_until(lambda: ports.accepts(port) or not process.alive(), 120) or not process.alive():
            logs = [(place / name).read_text() for name in ("start.log", "dovecot.log") if (place / name).exists()]
            raise RuntimeError("Dovecot does not start:\n" + "\n".join(logs))
        yield Dovecot(port, configured, account)
    finally:
        stop([process])
        remove_directory(place)
