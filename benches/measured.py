"""What the programs beside this have in common: a world, a user in it, times, a table."""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import statistics
import subprocess
import sys
import time

USER = "dev"
PROJECT = pathlib.Path("/home/dev/project")
ADMIN_FILE = pathlib.Path("/etc/rcc/config.toml")
RCC = "/usr/local/bin/rcc"
RESOLVER = "3543527F:0035"  # 127.82.67.53, port 53, as proc_net_tcp(5) writes it


class Skipped(Exception):
    """A row that cannot be measured here, and why."""


# Processes


def environment():
    entry = pwd.getpwnam(USER)
    return {
        "HOME": entry.pw_dir,
        "USER": USER,
        "LOGNAME": USER,
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}",
    }


def become_user():
    """For a child before it executes: the ordinary user, in the project."""
    entry = pwd.getpwnam(USER)
    os.initgroups(USER, entry.pw_gid)
    os.setresgid(*[entry.pw_gid] * 3)
    os.setresuid(*[entry.pw_uid] * 3)
    os.chdir(PROJECT)


def as_user(*command, **options):
    """Runs a command as the user; its output is returned, a failure raises what it said."""
    done = subprocess.run(
        command, env=environment(), preexec_fn=become_user, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Skipped(f"{command[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout


def timed(command):
    """Milliseconds from before the start of a command until it has been waited for."""
    # pasta of 2023 takes an ignored SIGPIPE, which Python passes on, for a failure.
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=null, setsigdef=[signal.SIGPIPE])
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - start) * 1e3
    if status != 0:
        raise Skipped(f"{command[0]} ended with status {os.waitstatus_to_exitcode(status)}")
    return elapsed


def by_user(measure):
    """What `measure` returns, called in a child that is the user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        become_user()
        variables = environment()
        os.environ.clear()
        os.environ.update(variables)
        with os.fdopen(writer, "w") as out:
            json.dump(measure(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        text = answers.read()
    os.waitpid(child, 0)
    if not text:
        sys.exit("compare: a candidate failed; its message is above")
    return json.loads(text)


def in_turns(candidates, rounds):
    """Times of each candidate, name to list. One turn before the first warms the caches."""
    times = {name: [] for name in candidates}
    for _ in range(1 + rounds):
        for name, command in candidates.items():
            times[name].append(timed(command))
    return {name: list[1:] for name, list in times.items()}


# The machine


def prepare():
    """A project, rcc set up for the user, and what podman asks of a machine."""
    (PROJECT / "src").mkdir(parents=True)
    (PROJECT / ".git").mkdir()
    (PROJECT / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (PROJECT / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n")
    (PROJECT / ".env").write_text("SECRET=hunter2\n")
    subprocess.run(["chown", "-R", f"{USER}:", "/home/dev"], check=True)
    entry = pwd.getpwnam(USER)
    runtime = pathlib.Path(environment()["XDG_RUNTIME_DIR"])
    runtime.mkdir(parents=True, mode=0o700)
    os.chown(runtime, entry.pw_uid, entry.pw_gid)
    # A mixture of cgroup versions confuses podman, even where it is to make none.
    subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=False)
    ids = {"SUDO_USER": USER, "SUDO_UID": str(entry.pw_uid), "SUDO_GID": str(entry.pw_gid)}
    done = subprocess.run([RCC, "init"], env={**os.environ, **ids}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"compare: rcc init failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def service():
    """The service, without which no sandbox with a network starts, answering names."""
    process = subprocess.Popen([RCC, "firewall", "apply", "--watch"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if RESOLVER in pathlib.Path("/proc/net/tcp").read_text():
                break
            time.sleep(0.02)
        else:
            sys.exit("compare: the service does not start")
        yield
    finally:
        process.terminate()
        process.wait()


def many_exceptions(count=10_000):
    """Adds a profile with so many exceptions to root's configuration."""
    addresses = (f"10.{1 + number // 250}.{number % 250}.7" for number in range(count))
    lines = [f'  {{ address = "{address}", ports = [443] }},' for address in addresses]
    before = ADMIN_FILE.read_text() if ADMIN_FILE.exists() else ""
    ADMIN_FILE.write_text("\n".join([before, "[profiles.many]", "allow = [", *lines, "]", ""]))


def pasta_attach(rounds):
    """Times of pasta connecting a network namespace that is there already, which is what a
    container waits for where podman leaves it to pasta."""
    times = []
    for _ in range(rounds):
        holder = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sleep", "infinity"])
        pid_file = PROJECT / "pasta.pid"
        try:
            while os.path.basename(os.readlink(f"/proc/{holder.pid}/exe")) != "sleep":
                time.sleep(0.005)
            times.append(timed(["pasta", "--config-net", "--quiet", "--pid", str(pid_file), str(holder.pid)]))
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        finally:
            holder.kill()
            holder.wait()
            pid_file.unlink(missing_ok=True)
    return times


def descendants(root):
    tree, pending = [], [root]
    while pending:
        pid = pending.pop()
        tree.append(pid)
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        pending += [int(child) for child in children.read_text().split()] if children.exists() else []
    return tree


def comm(pid):
    file = pathlib.Path(f"/proc/{pid}/comm")
    return file.read_text().strip() if file.exists() else ""


# The table


class Table:
    def __init__(self):
        self.missed = 0
        print(f"{'':52} {'least':>9} {'median':>9}  {'bar':<26} verdict")

    def row(self, name, least, median, bar="", holds=None):
        verdict = {None: "", True: "holds", False: "MISSED"}[holds]
        self.missed += holds is False
        print(f"{name:52} {least:>9} {median:>9}  {bar:<26} {verdict}".rstrip(), flush=True)

    def times(self, name, times, bar="", limit=None):
        """The bar is met by the median; a busy machine is no excuse, nor does it help a peer."""
        median = statistics.median(times)
        holds = None if limit is None else median < limit
        self.row(name, f"{min(times):.1f} ms", f"{median:.1f} ms", bar, holds)

    def ratio(self, name, ours, theirs, bar, most):
        """How many times as long ours takes; at most that many, or the bar is missed."""
        least, median = min(ours) / min(theirs), statistics.median(ours) / statistics.median(theirs)
        self.row(f"    ratio: {name}", f"{least:.2f}", f"{median:.2f}", bar, median <= most)

    def skip(self, name, why):
        print(f"{name:52} not measured: {why}", flush=True)


def enter(program):
    """Starts this program again in a world of its own, which may hide the directory that it lies in: that is opened
    before. Returns what was typed, once it is inside."""
    if "--inside" in sys.argv:
        return sys.argv[2:]
    here = pathlib.Path(program).resolve()
    directory = os.open(here.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(directory, True)
    os.environ["WORLD_QUIET"] = "1"
    world = here.parent.parent / "checks/lib/world"
    inside = f"/proc/self/fd/{directory}/{here.name}"
    os.execv(world, [str(world), "python3", "-B", inside, "--inside", *sys.argv[1:]])
