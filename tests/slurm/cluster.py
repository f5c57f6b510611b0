"""A real Slurm of several virtual hosts on this machine, below one directory, as root.

Every daemon runs in the foreground as a child of this process, so that it can be ended, and nothing
else is. Virtual hosts have their own host name (Open MPI wants that of the node), and their own
directory for temporary files (PMIx keeps sockets there). Accounting is by slurmdbd and MariaDB, on
a socket in that directory. Nothing listens but on the loopback interface.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "slurmdbd", "munged", "sbatch", "mariadbd", "unshare")
ENDED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TmpFS={root}/tmp/%n
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=600
SlurmdTimeout=60
BatchStartTimeout=10
CompleteWait=0
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={root}/munge.sock
NodeName=n[1-{hosts}] NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=urgent Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""

DBD_CONFIG = """
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


def why_not() -> str:
    """Why no cluster can be started here; "" if one can."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install: see .ci/slurm)"
    if os.geteuid() != 0:
        return "starting slurmd needs root"
    probe = subprocess.run(["unshare", "-um", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "unshare is not allowed here"


@dataclass
class Cluster:
    """`with Cluster(folder, hosts=3) as slurm: slurm.submit(...)`."""

    root: Path
    hosts: int = 3
    cpus: int = 4
    _daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all daemons; if one does not, end the others and raise."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """For clients of this cluster."""
        path = f"{os.environ.get('PATH', '')}:{PATH}"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        return clean | {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": path}

    def run(self, *command: str | Path, timeout_s: float = 60) -> str:
        """The output of a client of Slurm."""
        done = subprocess.run(
            [str(word) for word in command], env=self.environment, capture_output=True, text=True,
            timeout=timeout_s, check=False, cwd=self.root,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def submit(self, script: Path, *options: str, folder: Path | None = None) -> str:
        """Submit with `folder` as the working directory; the job's number."""
        where = () if folder is None else (f"--chdir={folder}",)
        said = self.run("sbatch", "--parsable", *where, *options, script)
        return said.strip().splitlines()[-1].split(";")[0]

    def state(self, job: str) -> str:
        """As the controller knows it, such as RUNNING."""
        words = self.run("scontrol", "-o", "show", "job", job).split()
        found = [word.split("=", 1)[1] for word in words if word.startswith("JobState=")]
        return found[0] if found else "UNKNOWN"

    def wait(self, job: str, states: Sequence[str] = tuple(ENDED), timeout_s: float = 120) -> str:
        """Until the job is in one of `states`; that state."""
        return wait_for(
            lambda: found if (found := self.state(job)) in states else None,
            f"job {job} to be one of {sorted(states)}; it is {self.state(job)}", timeout_s,
        )  # fmt: skip

    def accounted(self, job: str, *fields: str) -> list[list[str]]:
        """Rows of sacct."""
        text = self.run("sacct", "-n", "-P", "-D", "-j", job, "-o", ",".join(fields))
        return [line.split("|") for line in text.splitlines()]

    def kill_host(self, name: str) -> None:
        """End a virtual host as if its power was cut: its daemon and all of its steps."""
        for pid, line in self._ours():
            if f"-N\0{name}\0" in line or f"/spool/{name}" in _open_files(pid):
                _signal(pid, signal.SIGKILL)
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=killed")

    def revive_host(self, name: str) -> None:
        self._start_host(name)
        self._says("scontrol", "update", f"nodename={name}", "state=resume")
        wait_for(lambda: self._state_of(name) == "idle", f"{name} to be idle")

    def stop(self) -> None:
        """End all of it."""
        if (self.root / "slurm.conf").exists() and self._daemons:
            subprocess.run(
                ["scancel", "--user=root", "--full"], env=self.environment, timeout=20,
                capture_output=True, check=False,
            )  # fmt: skip
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for pid, _ in self._ours():
                _signal(pid, sent)
            for daemon in reversed(self._daemons):
                _wait_or_signal(daemon, sent)
        self._daemons.clear()

    # ---- starting -------------------------------------------------------------------------------

    def _start(self) -> None:
        for name in ("state", "spool", "tmp", "db"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)
        self._write_config()
        self._start_munge()
        self._start_database()
        self._daemon("slurmdbd", "-D")
        wait_for(lambda: self._says("sacctmgr", "-n", "show", "cluster"), "slurmdbd")
        self._says("sacctmgr", "-i", "add", "cluster", "test")
        self._daemon("slurmctld", "-D", "-i")
        wait_for(lambda: self._says("scontrol", "ping"), "slurmctld")
        for number in range(1, self.hosts + 1):
            self._start_host(f"n{number}")
        wait_for(self._all_idle, "the hosts to be idle")

    def _write_config(self) -> None:
        first = _free_ports(self.hosts + 2)
        values = {
            "root": self.root, "host": socket.gethostname().split(".")[0], "port": first,
            "dbd_port": first + 1, "first": first + 2, "last": first + 1 + self.hosts,
            "hosts": self.hosts, "cpus": self.cpus,
        }  # fmt: skip
        (self.root / "slurm.conf").write_text(CONFIG.format(**values))
        dbd = self.root / "slurmdbd.conf"
        dbd.write_text(DBD_CONFIG.format(**values))
        dbd.chmod(0o600)

    def _start_munge(self) -> None:
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={self.root}/munge.sock", f"--pid-file={self.root}/munged.pid",
            f"--log-file={self.root}/munged.log", f"--seed-file={self.root}/munge.seed",
        )  # fmt: skip
        wait_for((self.root / "munge.sock").exists, "munged")

    def _start_database(self) -> None:
        data, socket_file = self.root / "db", self.root / "mysql.sock"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
             "--auth-root-authentication-method=normal", "--skip-test-db",
             "--innodb-log-file-size=8M"],
            env=self.environment, capture_output=True, check=True, timeout=120,
        )  # fmt: skip
        self._daemon(
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
            f"--socket={socket_file}", "--skip-networking", "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--performance-schema=0",
            f"--pid-file={self.root}/mariadb.pid",
        )  # fmt: skip
        wait_for(socket_file.exists, "mariadbd")

    def _start_host(self, name: str) -> None:
        (self.root / "spool" / name).mkdir(exist_ok=True)
        own_tmp = self.root / "tmp" / name
        own_tmp.mkdir(exist_ok=True)
        own_tmp.chmod(0o1777)
        program = 'hostname "$0" && exec slurmd -D -N "$0"'
        self._daemon("unshare", "-um", "sh", "-c", program, name)

    def _daemon(self, *command: str) -> None:
        env = self.environment | {"MYSQL_UNIX_PORT": f"{self.root}/mysql.sock"}
        with (self.root / f"{command[0]}.{len(self._daemons)}.log").open("wb") as log:
            daemon = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._daemons.append(daemon)

    def _says(self, *command: str) -> bool:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0

    def _all_idle(self) -> bool:
        return (
            self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split().count("idle")
            == self.hosts
        )

    def _state_of(self, host: str) -> str:
        return self.run("sinfo", "-h", "-N", "-n", host, "-p", "main", "-o", "%T").strip()

    def _ours(self) -> Iterator[tuple[int, str]]:
        """Processes of this cluster: those that have its configuration in their environment."""
        mark = f"SLURM_CONF={self.root}/slurm.conf\0".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            try:
                if pid != os.getpid() and mark in (entry / "environ").read_bytes() + b"\0":
                    line = (entry / "cmdline").read_bytes().decode(errors="replace")
                    if not line.startswith(("pytest", "make")):
                        yield pid, line
            except OSError:
                continue


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60) -> str:
    """Until `condition` holds; what it gave, as text."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.1)
    return str(found)


def _free_ports(count: int) -> int:
    """The first of so many neighbouring ports that are free."""
    for first in range(26800, 60000, 100):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


def _open_files(pid: int) -> str:
    names = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            names.append(os.readlink(link))
        except OSError:
            continue
    return " ".join(names)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_or_signal(daemon: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if daemon.poll() is None:
        daemon.send_signal(number)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            return
