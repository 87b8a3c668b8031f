"""scripts/slurm with a stand-in for jacstrat: the shard of each task, and what a second start goes on with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pages import ROOT

ARRAY = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "4"}


def array(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "JACSTRAT": "echo", **variables}
    command = ["bash", str(ROOT / "scripts" / "slurm" / "array"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_task_measures_its_shard_and_goes_on_with_it(tmp_path) -> None:
    given = ARRAY | {"SLURM_ARRAY_TASK_COUNT": "4"}
    asked = f"run gpu --sample 1 --shard 2/4 --out {tmp_path}/shard-2"
    assert array(str(tmp_path), "gpu", "--sample", "1", **given).stdout == f"{asked}\n"
    (tmp_path / "shard-2").mkdir()
    (tmp_path / "shard-2" / "sweep.toml").touch()
    assert array(str(tmp_path), "gpu", "--sample", "1", **given).stdout == f"{asked} --resume\n"


@pytest.mark.parametrize(("count", "first"), [("3", "1"), ("4", "0")])
def test_an_array_that_leaves_shards_out_is_refused(tmp_path, count: str, first: str) -> None:
    given = ARRAY | {"SLURM_ARRAY_TASK_COUNT": count, "SLURM_ARRAY_TASK_MIN": first}
    done = array(str(tmp_path), **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"scripts/slurm/array: an array is 1-N, got {first}-4; use --array=1-16\n"


def test_outside_an_array_it_says_how_it_is_used(tmp_path) -> None:
    done = array(str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: sbatch --array=1-16 ")


def test_the_script_for_dask_names_its_options() -> None:
    script = str(ROOT / "scripts" / "slurm" / "workers")
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--interface NAME" in done.stdout
