"""What is read of torch, the packages, git and the command line."""

import os
import re
import shutil
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure import software
from jacstrat.measure.software import (
    PACKAGES,
    Checkout,
    read_checkout,
    read_command,
    read_packages,
    read_python,
    read_torch,
    read_variables,
)


def test_torch_tells_its_build_and_settings():
    read = read_torch()
    assert read.version == torch.__version__
    assert read.commit == torch.version.git_version
    assert (read.cuda, read.hip) == (torch.version.cuda, torch.version.hip)
    assert (read.threads, read.interop_threads) == (torch.get_num_threads(), torch.get_num_interop_threads())
    assert read.cpu_capability == torch.backends.cpu.get_cpu_capability()
    assert f"BLAS_INFO={read.blas}," in torch.__config__.show()
    assert read.parallel_backend in {"OpenMP", "native thread pool"}
    assert read.flushes_denormals is False


def test_build_text_without_the_parts_is_none(monkeypatch):
    monkeypatch.setattr(torch.__config__, "show", lambda: "PyTorch built with:\n")
    monkeypatch.setattr(torch.__config__, "parallel_info", lambda: "ATen/Parallel:\n")
    read = read_torch()
    assert (read.blas, read.parallel_backend) == (None, None)


def test_settings_are_those_of_the_moment(monkeypatch):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    try:
        read = read_torch()
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
    assert (read.threads, read.matmul_precision) == (1, "medium")


def test_flushed_denormals_are_seen():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        assert read_torch().flushes_denormals is True
    finally:
        torch.set_flush_denormal(False)
    assert read_torch().flushes_denormals is False


def test_importing_the_module_does_not_import_torch():
    code = "import sys, jacstrat.measure.environment; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_packages_have_their_versions_and_absent_ones_none(monkeypatch):
    assert read_packages()["numpy"] == np.__version__
    assert tuple(read_packages()) == PACKAGES
    monkeypatch.setattr(software, "PACKAGES", ("hypothesis", "no-such-package-7"))
    assert read_packages() == {"hypothesis": hypothesis.__version__, "no-such-package-7": None}


def test_python_has_its_name_and_version():
    assert read_python() == "CPython " + sys.version.split()[0]


def test_only_thread_and_allocator_variables_are_kept():
    environ = {
        "OMP_NUM_THREADS": "4",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "LD_PRELOAD": "/home/ada/lib/libjemalloc.so.2 libtcmalloc.so",
        "HOME": "/home/ada",
        "AWS_SECRET_ACCESS_KEY": "hush",
    }
    assert read_variables(environ) == {
        "OMP_NUM_THREADS": "4",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "LD_PRELOAD": "libjemalloc.so.2 libtcmalloc.so",
    }
    assert read_variables({}) == {}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with one commit of package/module.py; gives its folder and its hash."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def git(*arguments):
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        return subprocess.check_output(["git", *who, *arguments], cwd=tmp_path, text=True).strip()

    git("init", "--quiet")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1\n")
    git("add", "package")
    git("commit", "--quiet", "-m", "One")
    return tmp_path, git("rev-parse", "HEAD")


def test_a_clean_checkout_has_its_commit(repository):
    folder, commit = repository
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert read_checkout(folder / "package") == Checkout(commit, dirty=False)


@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_changed_and_new_files_make_a_checkout_dirty(repository, name):
    folder, commit = repository
    (folder / "package" / name).write_text("x = 2\n")
    assert read_checkout(folder / "package") == Checkout(commit, dirty=True)


def test_changes_beside_the_package_do_not_count(repository):
    folder, commit = repository
    (folder / "records.csv").write_text("case\n")
    assert read_checkout(folder / "package") == Checkout(commit, dirty=False)


def test_a_package_installed_inside_another_repository_is_no_checkout(repository):
    folder, _ = repository
    installed = folder / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x = 1\n")
    assert read_checkout(installed) is None


def test_the_variables_of_a_git_hook_do_not_lead_astray(repository, monkeypatch, tmp_path_factory):
    folder, commit = repository
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("elsewhere")))
    assert read_checkout(folder / "package") == Checkout(commit, dirty=False)


def test_without_repository_or_git_there_is_no_checkout(tmp_path, repository, monkeypatch):
    assert read_checkout(tmp_path / "nowhere") is None
    monkeypatch.setenv("PATH", "")
    assert read_checkout(repository[0] / "package") is None


def test_a_status_that_git_refuses_leaves_dirty_unknown(repository, monkeypatch):
    folder, commit = repository
    run = subprocess.run

    def refuse_status(command, **options):
        if "status" in command:
            raise subprocess.TimeoutExpired(command, 10)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", refuse_status)
    assert read_checkout(folder / "package") == Checkout(commit, dirty=None)


def test_the_command_line_names_neither_user_nor_machine():
    argv = [
        "/home/al/.venv/bin/jacstrat",
        "run",
        "--out=/home/al/results",
        "-p",
        "/home/alice/f.py:al",
        "/srv/al/al.py",
        "al",
        "/mnt/box.lan/box/box7",
        "-s",
        "vmap:chunk_size=64",
    ]
    assert read_command(argv, home="/home/al", host="box.lan") == (
        "jacstrat",
        "run",
        "--out=~/results",
        "-p",
        "/home/alice/f.py:<user>",
        "/srv/<user>/al.py",
        "al",
        "/mnt/<host>/<host>/box7",
        "-s",
        "vmap:chunk_size=64",
    )


def test_a_windows_command_line_is_hidden_too():
    argv = ["C:\\Users\\Al\\Scripts\\jacstrat.exe", "run", "--out", "C:\\Users\\Al\\results"]
    assert read_command(argv, home="C:\\Users\\Al", host="BOX") == (
        "jacstrat.exe",
        "run",
        "--out",
        "~\\results",
    )


@pytest.mark.parametrize("home", ["/", "~", ""])
def test_a_user_without_a_home_hides_nothing(home):
    assert read_command(["-c", "/data/x", "~/x"], home=home, host="") == ("-c", "/data/x", "~/x")


def test_the_command_line_of_this_process_is_the_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/jacstrat", "run", "quick"])
    assert read_command() == ("jacstrat", "run", "quick")
    monkeypatch.setattr(sys, "argv", [])
    assert read_command() == ("",)


NAME = st.from_regex(r"[a-z][a-z0-9_-]{0,7}", fullmatch=True)


@given(user=NAME, parts=st.lists(NAME, max_size=4), below=st.booleans())
def test_no_folder_of_an_argument_is_the_user(user, parts, below):
    path = "/".join(["/home" if below else "/data", user, *parts, "x.py"])
    (_, argument) = read_command(["jacstrat", path], home=f"/home/{user}", host="")
    assert user not in argument.split("/")
    assert argument.endswith("x.py")
