"""Git, as far as two revisions need it: where the repository is, what a name stands for, what files it has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from jacstrat.core.errors import UsageError

# A large repository on a slow disk takes this long to check out.
LIMIT_S = 600


def git(root: Path, *arguments: str) -> str:
    """What git prints.

    Raises:
        UsageError: Git is not installed, or refuses; says why.
    """
    # A hook of git's runs its children with GIT_DIR and others set, which would override the directory.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"LC_ALL": "C", "LANGUAGE": ""}  # `repository` tells one of its refusals by git's own words
    # The repository's hooks and monitor have no business in a checkout that lasts for minutes.
    settings = ["-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"]
    command = ["git", "-C", str(root), *settings, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=True, env=environ)
    except FileNotFoundError:
        raise UsageError("git is not installed, and compare-rev measures revisions of a git repository") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {error.returncode}"]
        raise UsageError(f"git {arguments[0]}: {said[-1]}") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git {arguments[0]} does not end after {LIMIT_S} s") from None
    return done.stdout.decode("utf-8", "surrogateescape")


def repository(directory: Path) -> Path:
    """The root of the repository that a directory lies in.

    Raises:
        UsageError: It lies in none.
    """
    try:
        return Path(git(directory, "rev-parse", "--show-toplevel").removesuffix("\n")).resolve()
    except UsageError as error:
        if "not a git repository" not in str(error):
            raise
        raise UsageError(f"{directory} is in no git repository; compare-rev measures two revisions of one") from None


def commit_of(root: Path, revision: str) -> str:
    """The full hash of the commit that a revision names.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except UsageError:
        raise UsageError(
            f"unknown revision {revision!r}; in a clone without history fetch it first: git fetch --unshallow"
        ) from None


def date_of(root: Path, commit: str) -> str:
    """When a commit was made, ISO 8601."""
    return git(root, "show", "--no-patch", "--format=%cI", commit).strip()


def known_commit(directory: Path, name: str | None) -> tuple[str | None, str | None]:
    """The full hash of a commit and its date, as far as a repository at the directory knows it; else the name alone."""
    if name is None:
        return None, None
    try:
        commit = commit_of(directory, name)
        return commit, date_of(directory, commit)
    except UsageError:
        return name, None


def is_clean(root: Path) -> bool:
    """Whether the working tree is its commit: nothing changed, nothing added."""
    return git(root, "status", "--porcelain").strip() == ""


def files_of_working_tree(root: Path) -> list[Path]:
    """The files of the working tree, changed and new ones included, ignored ones not; relative to the root."""
    names = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate").split("\0")
    return [Path(name) for name in names if name]
