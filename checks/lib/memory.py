"""memory.py TEXT-BACKWARDS: whether the text is in the memory of a process that this one may read, but for itself; says where."""

import glob
import os
import sys

wanted, found = sys.argv[1].encode(), 0
for directory in glob.glob("/proc/[0-9]*"):
    if directory == f"/proc/{os.getpid()}":
        continue
    try:
        with open(f"{directory}/maps", encoding="utf-8") as maps, open(f"{directory}/mem", "rb", 0) as memory:
            for line in maps:
                start, end = (int(number, 16) for number in line.split()[0].split("-"))
                if "r" not in line.split()[1] or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                    continue
                try:
                    memory.seek(start)
                    found += memory.read(end - start)[::-1].count(wanted)
                except OSError:
                    continue
                if found:
                    sys.exit(f"{directory}: {line}")
    except OSError:
        continue
