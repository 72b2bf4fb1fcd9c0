#!/usr/bin/env python3
"""Compares the names that a shared library shows with its checked-in list, so that nothing inside (fmt) leaks and nothing
public is lost.

Usage: check_exports.py LIBRARY LIST [ARCHIVE]
With the static library of the same objects, also checks that whatever is marked TERRAZZO_API there stands in the list.
Of a DLL only C names are compared: C++ names are others on Windows, where size_t is another type.
"""
import pathlib
import re
import subprocess
import sys


def shown_by_dll(library):
    text = subprocess.run(["x86_64-w64-mingw32-objdump", "-p", library], check=True, capture_output=True, text=True).stdout
    table = text.partition("[Ordinal/Name Pointer] Table")[2].strip().partition("\n\n")[0]
    return {line.split()[-1] for line in table.splitlines()}


def shown_by(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    return {line.split()[2] for line in lines.splitlines() if len(line.split()) == 3}


def marked_in(archive):
    """Symbols that are defined, global or weak, of default visibility, and terrazzo's own by their name."""
    lines = subprocess.run(["readelf", "--syms", "--wide", archive], check=True, capture_output=True, text=True).stdout
    marked = set()
    for line in lines.splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[4] in ("GLOBAL", "WEAK") and fields[5] == "DEFAULT" and fields[6] != "UND":
            if re.match(r"terrazzo_|_Z[A-Z]*N?K?8terrazzo", fields[7]):
                marked.add(fields[7])
    return marked


def main(library, list_file, archive=None):
    listed = {line for line in pathlib.Path(list_file).read_text().split("\n") if line and not line.startswith("#")}
    if library.endswith(".dll"):
        shown = {name for name in shown_by_dll(library) if not name.startswith("_Z")}
        listed = {name for name in listed if not name.startswith("_Z")}
    else:
        shown = shown_by(library)
    problems = [f"{name} is shown but not listed" for name in sorted(shown - listed)]
    problems += [f"{name} is listed but not shown" for name in sorted(listed - shown)]
    if archive is not None:
        problems += [f"{name} is public but not listed: run scripts/update-exports"
                     for name in sorted(marked_in(archive) - listed)]
    if not listed:
        problems.append("the list is empty")
    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
