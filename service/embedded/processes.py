"""Processes of ours: the account that they run as, what that may reach, free ports, and whose a process id is."""

import dataclasses
import os
import pwd
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

from service.embedded.folder import EmbeddedError, Report
from service.scoring.text import Text

ACCOUNT = "kaoping"
LOOPBACK = "127.0.0.1"

START_SECONDS = 60.0
"""How long a server may take until it answers; recovery after a crash is part of that."""

START_ATTEMPTS = 5
"""A free port can be taken by another program before the server listens on it: so often another one is tried."""


@dataclasses.dataclass(frozen=True)
class Account:
    """The user that the servers run as, where it is not our own."""

    name: str
    uid: int
    gid: int


def account_for(report: Report) -> Account | None:
    """The account for root's servers, made where it is missing; None where we are not root."""
    if os.geteuid() != 0:
        return None
    if not _has_account(ACCOUNT):
        began = time.monotonic()
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
        if useradd is not None:
            subprocess.run(  # noqa: S603  # constants
                [
                    useradd,
                    "--system",
                    "--no-create-home",
                    "--home-dir",
                    "/nonexistent",
                    "--shell",
                    "/bin/false",
                    ACCOUNT,
                ],
                check=False,
                capture_output=True,
            )
        if _has_account(ACCOUNT):
            what = Text(
                zh=f"已新建系统用户{ACCOUNT}（服务不以root运行）",
                en=f"made the system account {ACCOUNT}, since servers do not run as root",
            )
            report(what, time.monotonic() - began)
    name = ACCOUNT if _has_account(ACCOUNT) else "nobody"
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def let_pass(account: Account | None, path: Path, report: Report) -> None:
    """Let the account reach the path: each folder above it gets the right to be passed, not to be listed."""
    if account is None:
        return
    opened = []
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH and folder.stat().st_uid != account.uid:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            opened.append(str(folder))
    if opened:
        folders = ", ".join(reversed(opened))
        what = Text(
            zh=f"已允许系统用户{account.name}经过{folders}（o+x）",
            en=f"let the account {account.name} pass through {folders} (o+x)",
        )
        report(what, 0.0)


def let_read(account: Account | None, *roots: Path) -> None:
    """Let the account read and run installed programs, where a strict umask at their installation took that from it."""
    if account is None:
        return
    for root in roots:
        for path in (root, *root.rglob("*")) if root.exists() else ():
            mode = stat.S_IMODE(path.stat().st_mode)
            wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if wanted != mode:
                path.chmod(wanted)


def run(
    command: list[str | Path], account: Account | None, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program as the account, with an environment of its own: PGHOST and its kin must not reach it."""
    try:
        return subprocess.run(  # noqa: S603  # its callers name programs that we brought
            command,
            check=False,
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        who = f" as the account {account.name}" if account else ""
        raise EmbeddedError(f"{command[0]} cannot be run{who}: {error.strerror}.") from error


def free_port(preferred: int) -> int:
    """The port that was used last time where it is still free, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError(f"No free port on {LOOPBACK}.")


def belongs(pid: int, folder: Path) -> bool:
    """Whether the process runs in the folder, as a server of ours does. After a crash its id may be another's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except FileNotFoundError:
        # No /proc (macOS, a bare chroot), or the process has just ended: taken for ours, the cautious guess.
        return not Path("/proc/self").exists()
    except PermissionError:
        return False


def pid_in(path: Path) -> int | None:
    """The process id in the first line of a file; None where there is none."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
