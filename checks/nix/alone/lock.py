"""lock.py: holds flake.lock against the inputs that flake.nix names."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def original(url):
    """A flake reference github:OWNER/REPO[/REF] as the lock has it."""
    kind, _, path = url.partition(":")
    parts = dict(zip(["owner", "repo", "ref"], path.split("/", 2)))
    return {"type": kind, **parts}


def node_problems(name, wanted, nodes):
    node = nodes.get(name)
    if node is None:
        return [f"{name} is not locked"]
    problems, locked = [], node.get("locked", {})
    if node.get("original") != original(wanted["url"]):
        problems.append(f"{name} is locked for {node.get('original')}, not for {wanted['url']}")
    if [locked.get(key) for key in ["type", "owner", "repo"]] != [node["original"].get(key) for key in ["type", "owner", "repo"]]:
        problems.append(f"{name} is locked to another repository: {locked}")
    if not re.fullmatch(r"[0-9a-f]{40}", locked.get("rev", "")):
        problems.append(f"{name} is not locked to a commit: {locked.get('rev')}")
    algorithm, _, digest = locked.get("narHash", "").partition("-")
    if algorithm != "sha256" or len(base64.b64decode(digest)) != 32:
        problems.append(f"{name} has no SHA-256: {locked.get('narHash')}")
    if not isinstance(locked.get("lastModified"), int):
        problems.append(f"{name} has no date")
    follows = {key: value["follows"].split("/") for key, value in wanted.get("inputs", {}).items()}
    if node.get("inputs", {}) != follows:
        problems.append(f"{name} has the inputs {node.get('inputs', {})}, not {follows}")
    return problems


def main():
    command = ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "--expr",
               f"(import {ROOT}/flake.nix).inputs"]
    inputs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    lock = json.loads((ROOT / "flake.lock").read_text())
    nodes = lock["nodes"]
    problems = []
    if lock["version"] != 7 or lock["root"] != "root":
        problems.append("not the seventh version of the format")
    if nodes["root"] != {"inputs": {name: name for name in inputs}}:
        problems.append(f"the root's inputs are {nodes['root']}")
    if set(nodes) != {"root", *inputs}:
        problems.append(f"there are nodes that nobody asked for: {sorted(set(nodes) - {'root', *inputs})}")
    for name, wanted in inputs.items():
        problems += node_problems(name, wanted, nodes)
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
