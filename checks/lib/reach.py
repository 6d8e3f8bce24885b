"""reach.py [--all | --none] [--v4] [--also ATTEMPT...] [--not ATTEMPT...] -- COMMAND...

Runs probe.py through COMMAND (say, `rcc run --`) against every place of the world and judges by
what the far side received: the places expected to be reached were, and *nothing else* arrived.
Expected are the public places, or all, or none; with --v4 only those over IPv4. --also names more,
--not names more that are tried and must not be reached. An ATTEMPT is PROTOCOL:PORT:ADDRESS, or
PROTOCOL:PORT:NAME=ADDRESS where the name is to be asked for, and leads to the address.
"""

import argparse
import ipaddress
import json
import pathlib
import secrets
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
LOGS = [pathlib.Path("/mnt/log/outside"), pathlib.Path("/mnt/log/host")]
# Questions for names: a sandbox asks the resolver of all sandboxes, which asks the host's.
DNS = {("udp", "127.82.67.53", 53), ("udp", "192.168.77.1", 53)}
SETTLE = 0.3  # seconds for the last packet to be written down


class Attempt:
    def __init__(self, kind, protocol, port, address):
        self.kind, self.protocol, self.port = kind, protocol, int(port)
        self.called, _, address = address.rpartition("=")
        self.address = address
        self.token = "token-" + secrets.token_hex(6)

    def key(self):
        """As the recorders write it: mapped addresses travel as IPv4, 0.0.0.0 as loopback."""
        address = ipaddress.ip_address(self.address)
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1")
        return self.protocol, str(address), 0 if self.protocol == "icmp" else self.port


def places():
    for line in (HERE / "places").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        for protocol in words[2:]:
            yield Attempt(words[0], protocol, 443, words[1])


def named(text):
    protocol, port, address = text.split(":", 2)
    return Attempt("named", protocol, port, address)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--none", action="store_true")
    parser.add_argument("--v4", action="store_true")
    parser.add_argument("--also", nargs="+", type=named, default=[])
    parser.add_argument("--not", nargs="+", type=named, default=[], dest="denied")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def run(command, attempts):
    """What the probe said about each attempt."""
    plan = json.dumps([[a.protocol, a.called or a.address, a.port, a.token] for a in attempts])
    probe = (HERE / "probe.py").read_text(encoding="utf-8")
    done = subprocess.run([*command, "/usr/bin/python3", "-c", probe, plan], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"reach: the probe ended with status {done.returncode}")
    return json.loads(done.stdout)


def received(marks):
    time.sleep(SETTLE)
    for log, mark in zip(LOGS, marks):
        with log.open(encoding="utf-8") as lines:
            lines.seek(mark)
            for line in lines:
                protocol, _, target, port, what = line.split()
                yield (protocol, target, int(port)), what, f"{log.name}: {line.strip()}"


def judge(attempts, expected, said, lines):
    """Sentences about everything that is not as it should be."""
    arrived = {what for _, what, _ in lines}
    for attempt, outcome in zip(attempts, said):
        where = f"{attempt.kind} {attempt.protocol} {attempt.address} port {attempt.port}"
        no_ping_sockets = attempt.protocol == "icmp" and outcome in ("EACCES", "EPERM", "EPROTONOSUPPORT")
        if attempt in expected and attempt.token not in arrived and not no_ping_sockets:
            yield f"not reached: {where} ({outcome})"
        if attempt not in expected and attempt.token in arrived:
            yield f"REACHED: {where} ({outcome})"
    explained = {attempt.key() for attempt in expected} | DNS
    for key, _, line in lines:
        if key not in explained:
            yield f"ARRIVED: {line}"


def main():
    options = arguments()
    known = list(places())
    attempts = known + options.also + options.denied
    usual = [attempt for attempt in known if options.all or attempt.kind == "public" and not options.none]
    expected = [attempt for attempt in usual if not (options.v4 and ":" in attempt.key()[1])] + options.also
    marks = [log.stat().st_size for log in LOGS]
    said = run(options.command, attempts)
    wrong = list(judge(attempts, expected, said, list(received(marks))))
    print("\n".join(wrong) or f"{len(attempts)} attempts: {len(expected)} reached, as expected")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
