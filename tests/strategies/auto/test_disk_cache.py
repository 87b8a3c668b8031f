"""Choices on disk: found again, and never in the way."""

from __future__ import annotations

import json

import pytest

from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.auto.disk_cache import StoredChoice, digest, folder, load, store

KEPT = StoredChoice("vmap", "vmap: 1 ms against 2 ms of jvp")


def test_what_is_stored_is_found_as_one_small_file() -> None:
    store("name", KEPT)
    assert load("name") == KEPT
    assert load("other") is None
    (file,) = folder().iterdir()
    assert json.loads(file.read_text()) == KEPT._asdict()


def test_it_is_replaced_as_a_whole() -> None:
    store("name", KEPT)
    store("name", KEPT._replace(strategy="jvp"))
    assert load("name").strategy == "jvp"
    assert len(list(folder().iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"strategy": "vmap"}', b'{"strategy": 1, "reason": ""}', b"\xff\xfe", b"1e999"],
)
def test_a_file_that_is_none_is_no_choice(content: bytes) -> None:
    folder().mkdir(exist_ok=True)
    (folder() / "name.json").write_bytes(content)
    assert load("name") is None
    store("name", KEPT)
    assert load("name") == KEPT


def test_a_place_that_cannot_be_written_is_no_error(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JACSTRAT_CACHE", str(tmp_path / "file" / "below"))
    store("name", KEPT)
    assert load("name") is None


def test_nothing_is_left_behind_where_the_last_step_fails(monkeypatch) -> None:
    def replace(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(disk_cache.os, "replace", replace)
    store("name", KEPT)
    assert list(folder().iterdir()) == []


def test_where_it_is(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("JACSTRAT_CACHE", str(tmp_path))
    assert folder() == tmp_path
    for off in ("", "off", "OFF"):
        monkeypatch.setenv("JACSTRAT_CACHE", off)
        assert folder() is None
        store("name", KEPT)
        assert load("name") is None
    monkeypatch.delenv("JACSTRAT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert folder() == tmp_path / "xdg" / "jacstrat"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home" / ".cache" / "jacstrat"


def test_a_name_tells_facts_apart() -> None:
    facts = {"n": 3, "dtype": "float32", "torch": "2.9"}
    assert digest(facts) == digest(dict(reversed(facts.items())))
    names = {digest(facts | change) for change in ({}, {"n": 4}, {"dtype": "float64"}, {"torch": "2.10"})}
    assert len(names) == 4
