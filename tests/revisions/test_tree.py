"""Revisions as files: what is in them, and that nothing of them is left."""

from __future__ import annotations

import subprocess

import pytest

from jacstrat import JacstratError
from jacstrat.revisions.tree import WORKING_TREE, checked_out
from tests.revisions.conftest import git


def test_a_commit_has_its_files_and_leaves_no_worktree(repository, change, tmp_path) -> None:
    change("torch.cos(x)")
    place = tmp_path / "place"
    with checked_out(repository / "inside", "HEAD", place) as tree:
        assert "sin" in (tree.path / "model.py").read_text()
        assert tree.directory == place / "inside"
        assert (tree.name, tree.commit, tree.dirty) == ("HEAD", git(repository, "rev-parse", "HEAD"), False)
        assert str(tree) == f"HEAD at {tree.commit[:12]}"
        assert tree.date == git(repository, "show", "-s", "--format=%cI")
        assert git(repository, "worktree", "list").count("\n") == 1
    assert not place.exists()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert "cos" in (repository / "model.py").read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_after_an_interruption(repository, tmp_path, error) -> None:
    place = tmp_path / "place"

    def interrupted() -> None:
        with checked_out(repository, "HEAD", place):
            raise error

    with pytest.raises(error):
        interrupted()
    assert not place.exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_what_a_killed_run_left_behind_is_in_nobodys_way(repository, tmp_path) -> None:
    place = tmp_path / "place"
    git(repository, "worktree", "add", "--detach", "-q", str(place))
    subprocess.run(["rm", "-r", place], check=True)
    with checked_out(repository, "HEAD", place) as tree:
        assert (tree.path / "model.py").is_file()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_the_working_tree_has_what_is_new_and_changed_and_not_what_is_ignored_or_gone(
    repository, change, tmp_path
) -> None:
    change("torch.cos(x)")
    (repository / "neu ö.py").write_text("new")
    (repository / "weights.bin").write_text("ignored")
    (repository / ".gitignore").write_text("*.bin\n")
    (repository / "link.py").symlink_to("model.py")
    (repository / "inside" / "kept").unlink()
    place = tmp_path / "place"
    with checked_out(repository / "inside", None, place) as tree:
        files = {str(file.relative_to(place)) for file in place.rglob("*") if not file.is_dir()}
        assert files == {"model.py", "neu ö.py", ".gitignore", "link.py"}
        assert "cos" in (place / "model.py").read_text()
        assert (place / "link.py").is_symlink()
        assert tree.directory.is_dir()
        assert (tree.name, tree.dirty) == (WORKING_TREE, True)
        assert str(tree) == f"working tree at {tree.commit[:12]} with changes"
        change("torch.tan(x)")
        assert "cos" in (place / "model.py").read_text()


def test_a_clean_working_tree_says_so_and_one_without_a_commit_is_fine(repository, tmp_path) -> None:
    with checked_out(repository, None, tmp_path / "one") as tree:
        assert not tree.dirty
        assert not tree.has_jacstrat
        assert tree.import_paths == (tree.directory, tree.path)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    git(fresh, "init", "-q")
    (fresh / "a.py").write_text("")
    with checked_out(fresh, None, tmp_path / "two") as tree:
        assert (tree.commit, tree.dirty) == (None, True)
        assert (tree.path / "a.py").exists()


def test_what_is_wrong_is_said_in_a_line(repository, tmp_path) -> None:
    def enter(here, revision) -> None:
        with checked_out(here, revision, tmp_path / "place"):
            raise AssertionError("it is there")

    with pytest.raises(JacstratError, match="unknown revision 'nope'; in a clone without history fetch it first"):
        enter(repository, "nope")
    with pytest.raises(JacstratError, match="unknown revision '--help'"):
        enter(repository, "--help")
    with pytest.raises(JacstratError, match="is in no git repository; compare-rev measures two revisions of one"):
        enter(tmp_path, "HEAD")
    (repository / "later").mkdir()
    with pytest.raises(JacstratError, match="later does not exist at HEAD; go to a directory that both revisions have"):
        enter(repository / "later", "HEAD")
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_repository_with_hooks_submodules_a_shallow_one_and_a_worktree_are_checked_out(repository, tmp_path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", f"touch {tmp_path / 'monitored'}; false")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository), "sub")
    git(repository, "commit", "-qam", "submodule")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    git(repository, "worktree", "add", "--detach", "-q", str(tmp_path / "beside"))
    (tmp_path / "monitored").unlink(missing_ok=True)
    for number, here in enumerate((repository, tmp_path / "shallow", tmp_path / "beside", tmp_path / "beside" / "sub")):
        before = git(here, "worktree", "list")
        place = tmp_path / f"place{number}"
        if here.name == "sub":
            here = here.parent / "inside"
        with checked_out(here, "HEAD", place) as tree:
            assert (tree.path / "model.py").is_file()
            assert not (tree.path / "hooked").exists()
        with checked_out(here, None, place) as tree:
            assert (tree.path / "model.py").is_file()
        subprocess.run(["rm", "-r", place], check=True)
        assert git(here, "worktree", "list") == before
    assert not (tmp_path / "monitored").exists()
