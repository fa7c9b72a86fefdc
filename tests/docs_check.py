#!/usr/bin/env python3
"""Checks what the documents say: commands run and have the options they are given, links lead somewhere, and more.

    python3 tests/docs_check.py --cfm PATH --cfm-train PATH

The paths are those of the built commands. Run are the blocks

    <!-- run -->
    ```sh
    ...
    ```

of README.md and of the tutorials in sim/docs/tutorials, those of a document one after the other in one temporary folder, in
which the repository's own folders are links. Options of all other commands are looked for in the help. Links are the
relative ones of all documents; files and tests those that architecture.md, claims.md and faults.md name, and every row of the
tables in faults.md names a test; the table of dependencies is that of architecture.md. Exits 1 when anything fails, or when no block has run; 2 when something is missing.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import tomllib
except ImportError:
    print("missing: Python 3.11 or newer", file=sys.stderr)
    sys.exit(2)

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ("ml-engineer", "firmware-engineer", "fpga-engineer")
DOCUMENTS = ["README.md", *(f"sim/docs/tutorials/{name}.md" for name in TUTORIALS)]
FOLDERS = ("boards", "crates", "hls", "sim", "tests")
ARCHITECTURE = "sim/docs/architecture.md"
FAULTS = "sim/docs/faults.md"
MARK = "<!-- run -->"
# How a line of a document begins that calls a program.
PROGRAMS = {"cfm": "cfm|cargo run --release --", "cfm-train": "cfm-train|cargo run --release -p cfm-train --"}
# Of a block; all of them together take some ten.
SECONDS = 60


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def lines_with_fences(text):
    """Every line with its number and the info string of the fenced block that it is in (None outside of blocks)."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
            yield number, line, None
        else:
            yield number, line, fence


def blocks(text):
    """The `sh` blocks: (line of the first command, commands, whether they are to be run). A stray mark is an error."""
    lines = text.splitlines()
    found, marks = [], [number for number, line, fence in lines_with_fences(text) if line == MARK and fence is None]
    for number, line, fence in lines_with_fences(text):
        if line == "```sh" and fence is None:
            start = number
            end = lines.index("```", start)
            marked = start >= 2 and lines[start - 2] == MARK
            found.append((start + 1, "\n".join(lines[start:end]), marked))
    if len(marks) != sum(marked for _, _, marked in found):
        raise SystemExit("a mark is not on the line before an sh block")
    return found


def run_commands(cfm):
    """Runs the marked blocks; returns how many ran, how many were left out, and what failed."""
    ran, left_out, failures = 0, 0, []
    for document in DOCUMENTS:
        with tempfile.TemporaryDirectory() as folder:
            work, tools = Path(folder) / "work", Path(folder) / "bin"
            work.mkdir()
            tools.mkdir()
            (tools / "cfm").symlink_to(cfm)
            for name in FOLDERS:
                (work / name).symlink_to(ROOT / name)
            environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
            for line, commands, marked in blocks(read(document)):
                if not marked:
                    left_out += 1
                    continue
                ran += 1
                problem = run_block(commands, work, environment)
                if problem:
                    failures.append(f"{document}:{line}: {problem}")
                    break  # what comes next in this document may need this block's files
    return ran, left_out, failures


def run_block(commands, work, environment):
    """Runs one block; returns what is wrong with it, or None."""
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    try:
        done = subprocess.run(
            shell, cwd=work, env=environment, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"takes longer than {SECONDS} s"
    return f"exit status {done.returncode}\n{done.stdout[-2000:]}" if done.returncode else None


def documents():
    """All documents of the repository, but not those of projects that somebody exported beside its folders."""
    found = ["README.md"]
    for top in FOLDERS:
        for folder, folders, files in os.walk(ROOT / top):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "target")
            found += [str((Path(folder) / name).relative_to(ROOT)) for name in sorted(files) if name.endswith(".md")]
    return found


def anchors(text):
    """The anchors that GitHub gives the headings of a document."""
    seen, result = {}, set()
    for _, line, fence in lines_with_fences(text):
        heading = re.match(r"#{1,6} +(.+?) *#*$", line) if fence is None else None
        if heading:
            words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            count = seen[anchor] = seen.get(anchor, -1) + 1
            result.add(f"{anchor}-{count}" if count else anchor)
    return result


def check_links():
    """Follows every relative link of every document; returns how many there are, and those that lead nowhere."""
    count, failures = 0, []
    for document in documents():
        # A link may be broken over two lines; code has none.
        text = "\n".join(line if fence is None else "" for _, line, fence in lines_with_fences(read(document)))
        text = re.sub(r"`[^`\n]*`", lambda code: "x" * len(code[0]), text)
        for link in re.finditer(r"\]\(([^()\s]+)\)", text):
            target = link[1]
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            file = (ROOT / document).parent / path if path else ROOT / document
            line = text.count("\n", 0, link.start()) + 1
            if not file.exists():
                failures.append(f"{document}:{line}: {target} does not exist")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
                failures.append(f"{document}:{line}: {target}: no such heading")
    return count, failures


class Help:
    """The help texts of a program."""

    def __init__(self, program):
        self.program, self.texts = program, {}

    def of(self, *path):
        """What the program prints with `PATH --help`."""
        if path not in self.texts:
            command = [self.program, *path, "--help"]
            self.texts[path] = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return self.texts[path]

    def subcommands(self, *path):
        """The commands that the help text lists."""
        listed = re.search(r"^Commands:\n((?:  .*\n)+)", self.of(*path), re.MULTILINE)
        return set(re.findall(r"^  ([a-z]+)", listed[1], re.MULTILINE)) - {"help"} if listed else set()

    def has(self, option, *path):
        """Whether a command takes an option."""
        return re.search(rf"(?<![\w-]){option}(?![\w-])", self.of(*path)) is not None


def command_lines(text, name):
    """The arguments of every line of code that calls a program, with those lines that a backslash continues it on."""
    for _, line, fence in lines_with_fences(re.sub(r"\\\n", " ", text)):
        call = re.match(rf"(\s*)(?:\w+=\S+ )?(?:{PROGRAMS[name]}) ([a-z].*)", line)
        if call and (fence is not None or len(call[1]) >= 4):
            yield re.split(r" #|&&|;", call[2])[0]


def check_options(name, program):
    """Looks for the command and the options of every line of all documents that calls a program, run or not, in its help,
    and for every command in the README; returns how many lines there are, and what is wrong."""
    help_texts, count, failures = Help(program), 0, []
    for document in documents():
        for line in command_lines(read(document), name):
            count += 1
            path, words = (), [word.split("|")[0] for word in line.split()]
            while words and words[0] in help_texts.subcommands(*path):
                path += (words.pop(0),)
            if not path:
                failures.append(f"{document}: there is no {name} {words[0]}")
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
                if not help_texts.has(option, *path):
                    failures.append(f"{document}: {name} {' '.join(path)} has no {option}")
    listed = {line.split()[0] for line in command_lines(read("README.md"), name)}
    failures += [f"README.md: {name} {command} is not listed" for command in sorted(help_texts.subcommands() - listed)]
    return count, failures


def check_paths():
    """Looks for the files that architecture.md, claims.md and faults.md name in code spans; returns how many, and those
    missing."""
    count, failures = 0, []
    for document in (ARCHITECTURE, "sim/docs/claims.md", FAULTS):
        for number, line, fence in lines_with_fences(read(document)):
            for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[^`\s:]+)", line) if fence is None else ():
                count += 1
                if not (ROOT / path).exists():
                    failures.append(f"{document}:{number}: {path} does not exist")
            # A test behind its file: `path.rs::name`.
            for path, name in re.findall(r"`([^`\s:]+\.rs)::(\w+)`", line) if fence is None else ():
                count += 1
                if (ROOT / path).exists() and not re.search(rf"\bfn {name}\(", read(path)):
                    failures.append(f"{document}:{number}: {path} has no {name}")
    return count, failures


def check_faults():
    """Looks for a test in the last cell of every row of faults.md; returns how many rows, and those without one."""
    rows, failures = 0, []
    for number, line, _ in lines_with_fences(read(FAULTS)):
        if not line.startswith("| ") or line.endswith("| test |"):
            continue
        rows += 1
        tests = re.findall(r"`([^`\s:]+\.rs)::(\w+)`", line.rstrip(" |").rsplit("|", 1)[1])
        for path, name in tests:
            marked = rf"#\[test\]\n(?: *#\[[^\n]*\]\n)* *fn {name}\("
            if (ROOT / path).exists() and not re.search(marked, read(path)):
                failures.append(f"{FAULTS}:{number}: {path}::{name} is no test")
        if not tests:
            failures.append(f"{FAULTS}:{number}: no test shows this row")
    return rows, failures


def check_dependencies():
    """Compares the table of dependencies with the manifests; returns how many rows, and those that differ."""
    rows = {}
    for line in read(ARCHITECTURE).splitlines():
        row = re.match(r"\| `(cfm-[a-z]+)` \(`([^`]+)`\) \|[^|]*\|([^|]*)\|([^|]*)\|$", line)
        if row:
            rows[row[2]] = (row[1], *(set(re.findall(r"`([^`]+)`", cell)) for cell in row.groups()[2:]))
    manifests = [*tomllib.loads(read("Cargo.toml"))["workspace"]["members"], "boards/common"]
    failures = [f"{ARCHITECTURE}: no row for {path}" for path in manifests if path not in rows]
    for path, (name, uses, tests_use) in rows.items():
        manifest = tomllib.loads(read(f"{path}/Cargo.toml"))
        own = {key: {d for d in manifest.get(key, {}) if d.startswith("cfm-")}
               for key in ("dependencies", "build-dependencies", "dev-dependencies")}
        normal = own["dependencies"] | own["build-dependencies"]
        for what, said, true in (("name", {name}, {manifest["package"]["name"]}), ("uses", uses, normal),
                                 ("tests use", tests_use, own["dev-dependencies"] - normal)):
            if said != true:
                failures.append(f"{ARCHITECTURE}: {path}: {what} {sorted(true)}, not {sorted(said)}")
    return len(rows), failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfm", type=Path, required=True, help="a built cfm command")
    parser.add_argument("--cfm-train", type=Path, required=True, help="a built cfm-train command")
    arguments = parser.parse_args()
    programs = {"cfm": arguments.cfm.resolve(), "cfm-train": arguments.cfm_train.resolve()}
    for program in programs.values():
        if not os.access(program, os.X_OK):
            print(f"missing: {program} (cargo build)", file=sys.stderr)
            return 2
    links, failures = check_links()
    print(f"{links} links followed")
    paths, missing = check_paths()
    print(f"{paths} files and tests looked for")
    faults, untested = check_faults()
    print(f"{faults} rows of faults and limits looked at")
    rows, differing = check_dependencies()
    print(f"{rows} rows of dependencies compared")
    counts, wrong = [], []
    for name, program in programs.items():
        lines, failed = check_options(name, program)
        print(f"{lines} lines of {name} compared with its help")
        counts.append((f"lines of {name}", lines))
        wrong += failed
    ran, left_out, failed = run_commands(programs["cfm"])
    print(f"{ran} blocks of commands run, {left_out} left out")
    failures += missing + untested + differing + wrong + failed
    for name, number in (("links", links), ("paths", paths), ("faults", faults), ("rows", rows), *counts, ("blocks", ran)):
        if not number:
            failures.append(f"no {name} found: this check checks nothing")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
