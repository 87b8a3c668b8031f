"""Names of commits, and git's own variables."""

from __future__ import annotations

import pytest

from jacstrat import JacstratError
from jacstrat.revisions.git import commit_of, known_commit
from jacstrat.revisions.git import git as ask
from jacstrat.revisions.git import repository as root_of
from tests.revisions.conftest import git


def test_commits_are_named_in_full_as_far_as_they_are_known(repository) -> None:
    full = git(repository, "rev-parse", "HEAD")
    assert commit_of(repository, full[:8]) == full
    assert known_commit(repository, "main") == (full, git(repository, "show", "-s", "--format=%cI"))
    assert known_commit(repository, "nope") == ("nope", None)
    assert known_commit(repository, None) == (None, None)
    assert root_of(repository / "inside") == repository.resolve()


def test_variables_that_git_gives_its_hooks_do_not_mislead(repository, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert root_of(repository) == repository.resolve()


def test_git_speaks_its_own_language_whatever_that_of_the_user(repository, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    assert ask(repository, "-c", "alias.language=!echo $LC_ALL$LANGUAGE", "language") == "C\n"
    with pytest.raises(JacstratError, match="is in no git repository"):
        root_of(tmp_path)


@pytest.mark.parametrize("name", ["-x", "--help", "-", "no such", "HEAD~99", "\n", "a..b", "HEAD:model.py", "\udcff"])
def test_a_name_that_is_no_revision_is_one_line(repository, name: str) -> None:
    with pytest.raises(JacstratError, match="unknown revision") as raised:
        commit_of(repository, name)
    assert "\n" not in str(raised.value)
