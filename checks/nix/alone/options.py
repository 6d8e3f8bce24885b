"""options.py RCC [--write]: holds the modules' options against rcc and the documentation.

Everything is read from options.nix. What the settings become must be what `RCC config check` takes,
the block of network identities must be rcc's own, and docs/options.md must say what the modules say
(--write makes it so).
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PAGE = ROOT / "docs/options.md"

TOP = """\
# Options of the modules

`services.rcc` on NixOS and with nix-darwin. This page is made from the modules
(`checks/nix/alone/options.py`); `settings` has the keys of
[`/etc/rcc/config.toml`](configuration.md), and takes others too, which `rcc config check` judges
while the system is built.
"""


def evaluated():
    command = ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", HERE / "options.nix"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def toml(value):
    """A value as TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def nix(value):
    """A value as Nix, on one line."""
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {nix(inner)};" for key, inner in value.items()) + " }" if value else "{ }"
    if isinstance(value, list):
        return "[ " + " ".join(map(nix, value)) + " ]" if value else "[ ]"
    return json.dumps(value)


def accepted(rcc, settings):
    """What rcc says to these settings; None if it takes them."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.writelines(f"{json.dumps(key)} = {toml(value)}\n" for key, value in settings.items())
        file.flush()
        said = subprocess.run([rcc, "config", "check", "--kind", "admin", file.name], capture_output=True, text=True)
    return None if said.returncode == 0 else said.stderr


def accepted_manifest(rcc, tool, manifest):
    """What rcc says to this manifest; None if it takes it."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / f"{tool}.toml"
        file.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in manifest.items()))
        said = subprocess.run([rcc, "plugin", "check", "--elsewhere", file], capture_output=True, text=True)
    return None if said.returncode == 0 else said.stderr


def section(option, only):
    text = re.sub(r"\{\w+\}(`[^`]*`)", r"\1", option["description"])
    text = re.sub(r"\[\]\(#opt-([^)]*)\)", r"`\1`", text).strip()
    try:
        default = f"`{nix(json.loads(option['default']))}`"
    except json.JSONDecodeError:
        default = option["default"]
    lines = [f"## `{option['name']}`", "", text, "", f"- type: {option['type']}", f"- default: {default}"]
    if option["example"] is not None:
        lines.append(f"- example: `{nix(json.loads(option['example']))}`")
    if only:
        lines.append(f"- {only} only")
    return "\n".join(lines) + "\n"


def page(options):
    platforms = {"nixos": "NixOS", "darwin": "nix-darwin"}
    names = {platform: {option["name"] for option in options[platform]} for platform in platforms}
    everything = {option["name"]: option for platform in platforms for option in options[platform]}
    sections = []
    for name, option in sorted(everything.items()):
        where = [platforms[platform] for platform in platforms if name in names[platform]]
        sections.append(section(option, where[0] if len(where) == 1 else None))
    return "\n".join([TOP, *sections])


def rust_constants():
    """The block of identities as rcc has it."""
    text = (ROOT / "src/policy/identity.rs").read_text()
    number = lambda name: int(re.search(rf"const {name}: \w+ = (\w+);", text)[1].replace("_", ""), 0)
    length = number("PROFILES_MAX") * number("SLOTS")
    users = int(re.search(r"BLOCK_END: u32 = BLOCK_START \+ (\d+) \* RANGE_LENGTH;", text)[1])
    start = number("BLOCK_START")
    return {"blockStart": start, "length": length, "usersMax": users, "third": start + 2 * length}


def main():
    rcc, write = sys.argv[1], "--write" in sys.argv
    found, problems = evaluated(), []

    def hold(sentence, condition, detail=""):
        print(f"  {'holds' if condition else 'FAILS'}  {sentence}")
        if not condition:
            problems.append(sentence)
            print("         |", str(detail).replace("\n", "\n         | "))

    for name in ["empty", "examples", "lists"]:
        said = accepted(rcc, found["rendered"][name])
        hold(f"rcc takes the settings `{name}`", said is None, said)
    for tool, manifest in found["manifests"].items():
        said = accepted_manifest(rcc, tool, manifest)
        hold(f"rcc takes the example of a plugin, `{tool}`", said is None, said)
    for name, word in [("unknown", "profiles"), ("badly", "10.0.0.0/8"), ("mixed", 'default = "deny"')]:
        said = accepted(rcc, found["rendered"][name])
        hold(f"rcc refuses the settings `{name}` and suggests {word}", said is not None and word in said, said)
    for name, refused in found["refused"].items():
        hold(f"the types refuse a wrong {name}", refused)
    hold("the identities are rcc's", found["identities"] == rust_constants(), (found["identities"], rust_constants()))

    wanted = page(found["options"])
    if write:
        PAGE.write_text(wanted)
    hold("docs/options.md says what the modules say", PAGE.exists() and PAGE.read_text() == wanted,
         f"run: python3 {Path(__file__).relative_to(ROOT)} {rcc} --write")
    sys.exit(bool(problems))


main()
