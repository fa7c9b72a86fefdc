#!/usr/bin/env python3
"""Checks packages and lock files.

    python3 tests/supply_check.py packages FOLDER      the .crate files that `cargo package` left in FOLDER
    python3 tests/supply_check.py msrv MANIFEST        the lock file of a workspace

A package has what crates.io and its users expect: licences, a README whose links work and that says what licence the weights
in the package are under, a complete manifest, and every file that its sources include or read. The dependencies of a crate,
those of its tests aside, ask for no newer compiler than its own `rust-version`. Exits 1 when something is wrong.
"""

import json
import posixpath
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of a package on crates.io.
LARGEST = 10 << 20
INCLUDE = re.compile(r'(?:\binclude(?:_str|_bytes|_model|_dir)?!\(|#\[path = )"([^"]+)"')
# A path that leads out of a folder, in a string of its own.
READ = re.compile(r'"/?(\.\.(?:/[^"]*)?)"')
# Files of weights, and what the README must call their licence. Those of RANDOM were not trained.
WEIGHTS = {
    "street.cfm": "CC BY-NC 4.0",
    "street.safetensors": "CC BY-NC 4.0",
    "scene.cfm": "MSRC",
    "scene.safetensors": "MSRC",
    "efficientnet_lite0.safetensors": "Apache License 2.0",
}
RANDOM = {"small.cfm"}
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
REQUIRED = ("description", "license", "readme", "rust-version", "keywords", "categories")


def metadata(manifest, *options):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", str(manifest), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    return json.loads(done.stdout) if done.returncode == 0 else sys.exit("cargo metadata fails")


def inside(files, base, path):
    """Whether `path`, from the folder `base` of a package, is one of its files or folders."""
    path = path.removeprefix("$CARGO_MANIFEST_DIR/") if path.startswith("$") else posixpath.join(base, path)
    path = posixpath.normpath(path).rstrip("/")
    return any(name == path or name.startswith(path + "/") for name in files)


def check_package(archive, ours):
    """What is wrong with a package, and how many files its sources include."""
    wrong, includes = [], 0
    if archive.stat().st_size > LARGEST:
        wrong.append(f"{archive.stat().st_size} bytes, more than {LARGEST}")
    with tarfile.open(archive) as tar:
        files = {member.name.split("/", 1)[1]: tar.extractfile(member).read() for member in tar if member.isfile()}
    for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
        if files.get(licence) != (ROOT / licence).read_bytes():
            wrong.append(f"{licence} is missing or another one")
    manifest = tomllib.loads(files["Cargo.toml"].decode())
    package = manifest["package"]
    wrong += [f"no {key} in the manifest" for key in REQUIRED if not package.get(key)]
    for kind in ("dependencies", "build-dependencies", "dev-dependencies"):
        for name, dependency in manifest.get(kind, {}).items():
            if name in ours and not (isinstance(dependency, dict) and dependency.get("version")):
                wrong.append(f"{kind}: {name} has no version")
    readme = files.get(package.get("readme"), b"").decode()
    wrong += [f"README.md: {link} is not in the package" for link in LINK.findall(readme) if not inside(files, "", link)]
    for name in files:
        if name.endswith((".cfm", ".safetensors")) and posixpath.basename(name) not in RANDOM:
            licence = WEIGHTS.get(posixpath.basename(name))
            # The file, or the model that it belongs to, in code; lines may be broken anywhere.
            words, model = " ".join(readme.split()), posixpath.basename(name).split(".")[0]
            if licence is None or licence not in words or not re.search(rf"`{model}(\.[a-z]+)?`", words):
                wrong.append(f"README.md does not say what licence {name} is under")
    for name, content in files.items():
        if name.endswith(".rs"):
            # Tests that leave out what a package does not have look for the file that makes it one.
            anywhere = b"Cargo.toml.orig" in content
            for line in content.decode().splitlines():
                if not INCLUDE.search(line) and not line.lstrip().startswith("//") and not anywhere:
                    # Such paths begin at the manifest.
                    out = [path for path in READ.findall(line) if posixpath.normpath(path).startswith("..")]
                    wrong += [f"{name}: {path} is read, but not in the package" for path in out]
                # Examples in documentation may be of a file of the reader's own.
                example = line.lstrip().startswith(("//!", "///"))
                for path in INCLUDE.findall(line):
                    includes += 1
                    if not inside(files, posixpath.dirname(name), path) and not (example and "/" not in path):
                        wrong.append(f"{name}: {path} is not in the package")
    return wrong, includes


def check_packages(folder):
    members = [p for p in metadata(ROOT / "Cargo.toml", "--no-deps")["packages"] if p["publish"] != []]
    ours, failures, includes = {p["name"] for p in members}, 0, 0
    for package in members:
        archive = Path(folder) / f"{package['name']}-{package['version']}.crate"
        wrong, found = check_package(archive, ours) if archive.is_file() else (["no package"], 0)
        includes += found
        failures += len(wrong)
        size = f"{archive.stat().st_size / 1024:.0f} KiB" if archive.is_file() else "-"
        print(f"{package['name']:14} {size:>9}")
        print("".join(f"    {line}\n" for line in wrong), end="")
    if not members or not includes:
        sys.exit("nothing was checked")
    print(f"{len(members)} packages, {includes} included files, {failures} mistakes")
    return failures


def version(text):
    numbers = [int(part) for part in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def check_msrv(manifest):
    graph = metadata(manifest, "--all-features")
    packages = {p["id"]: p for p in graph["packages"]}
    edges = {
        node["id"]: [d["pkg"] for d in node["deps"] if any(kind["kind"] != "dev" for kind in d["dep_kinds"])]
        for node in graph["resolve"]["nodes"]
    }
    failures, said, seen_all = 0, 0, set()
    for member in graph["workspace_members"]:
        oldest = packages[member]["rust_version"]
        if not oldest:
            print(f"{packages[member]['name']}: no rust-version")
            failures += 1
            continue
        seen, left = set(), [member]
        while left:
            at = left.pop()
            if at not in seen:
                seen.add(at)
                left += edges[at]
        for package in (packages[at] for at in seen):
            wants = package["rust_version"]
            if wants and version(wants) > version(oldest):
                name = f"{package['name']} {package['version']}"
                print(f"{packages[member]['name']} claims Rust {oldest}, but {name} needs {wants}")
                failures += 1
        seen_all |= seen
    said = sum(bool(packages[at]["rust_version"]) for at in seen_all)
    if not said:
        sys.exit("nothing was checked")
    print(f"{manifest}: {len(seen_all)} crates, of which {said} name their oldest compiler, {failures} mistakes")
    return failures


def main():
    match sys.argv[1:]:
        case ["packages", folder]:
            failures = check_packages(folder)
        case ["msrv", manifest]:
            failures = check_msrv(manifest)
        case _:
            sys.exit(__doc__)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
