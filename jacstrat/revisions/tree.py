"""A revision as a directory of files, for as long as it is measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jacstrat.core.errors import UsageError
from jacstrat.revisions.git import commit_of, date_of, files_of_working_tree, git, is_clean, repository

WORKING_TREE = "working tree"


@dataclass(frozen=True)
class Tree:
    """The files of a revision.

    Fields:
        name: As the user gave it, or WORKING_TREE.
        commit: The full hash; of the working tree that of its head, or None where there is no commit yet.
        dirty: The files differ from the commit.
        path: Where the files are.
        directory: The user's working directory within them: where relative names of problems start.
        date: When it was committed, ISO 8601; of the working tree None.
    """

    name: str
    commit: str | None
    dirty: bool
    path: Path
    directory: Path
    date: str | None = None

    @property
    def has_jacstrat(self) -> bool:
        """jacstrat itself is what changes; else it is installed, and the user's own functions change."""
        return (self.path / "jacstrat" / "__init__.py").is_file()

    @property
    def import_paths(self) -> tuple[Path, ...]:
        """Where its modules are found, before all that is installed."""
        return tuple(path for path in (self.directory, self.path, self.path / "src") if path.is_dir())

    def __str__(self) -> str:
        at = f" at {self.commit[:12]}" if self.commit and not self.commit.startswith(self.name) else ""
        return f"{self.name}{at}{' with changes' if self.dirty else ''}"


WARDEN = Path(__file__).with_name("warden.py")
# It does not wait for more than its own few seconds.
WARDEN_S = 60.0


@contextmanager
def cleared_away(here: Path, folder: Path) -> Iterator[None]:
    """Have a process of its own clear away the worktrees in a folder, if this one is killed within the block.

    Args:
        here: The user's working directory, in a repository.
        folder: Of the worktrees, and of nothing else.

    Raises:
        UsageError: There is no repository.
    """
    root = repository(here)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    warden = subprocess.Popen(
        [sys.executable, "-I", "-S", str(WARDEN), str(root), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
    )
    assert warden.stdin is not None
    assert warden.stdout is not None
    try:
        # It is deaf to signals from now on.
        warden.stdout.readline()
        yield
    finally:
        # What is left here, it removes now.
        warden.stdin.close()
        warden.stdout.close()
        try:
            warden.wait(WARDEN_S)
        except subprocess.TimeoutExpired:
            warden.kill()
            warden.wait()


@contextmanager
def checked_out(here: Path, revision: str | None, target: Path) -> Iterator[Tree]:
    """A revision's files in a directory of their own, gone after the block.

    A commit is a worktree of git's. The working tree is copied, so that it may be edited meanwhile: all that git
    tracks or would offer to add, as it is on disk.

    Args:
        here: The user's working directory, in a repository.
        revision: What git understands, or None for the working tree.
        target: A path that does not exist yet, in a directory that does.

    Raises:
        UsageError: There is no repository, no such revision, or the working directory is not in it.
    """
    root = repository(here)
    inside = here.resolve().relative_to(root)
    if revision is None:
        yield _copied(root, inside, target)
        return
    commit = commit_of(root, revision)
    # What a killed run left behind.
    git(root, "worktree", "prune")
    try:
        git(root, "worktree", "add", "--detach", "--force", str(target), commit)
        if not (target / inside).is_dir():
            raise UsageError(f"{inside} does not exist at {revision}; go to a directory that both revisions have")
        yield Tree(revision, commit, False, target, target / inside, date_of(root, commit))
    finally:
        with suppress(UsageError):
            git(root, "worktree", "remove", "--force", "--force", str(target))
        shutil.rmtree(target, ignore_errors=True)
        with suppress(UsageError):
            git(root, "worktree", "prune")


def _copied(root: Path, inside: Path, target: Path) -> Tree:
    for file in files_of_working_tree(root):
        source = root / file
        # A submodule is a directory here and empty in a worktree; a file may be deleted and not committed yet.
        if source.is_symlink() or source.is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / file, follow_symlinks=False)
    (target / inside).mkdir(parents=True, exist_ok=True)
    try:
        commit = commit_of(root, "HEAD")
    except UsageError:
        commit = None
    return Tree(WORKING_TREE, commit, not is_clean(root), target, target / inside)
