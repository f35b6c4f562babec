"""The bootstrap of scripts/: what it says where Python is missing, and that it installs once.

Nothing is installed here: `uv` and `hongyan` are stand-ins, so these tests need no network.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "readlink", "dirname", "cat", "cmp", "mkdir", "mv", "rm", "env")
HONGYAN = '#!/bin/sh\necho "in $(pwd): $*"\n'
UV = """#!/bin/sh
case $1 in
    --version) echo "uv $UV_FAKE_VERSION (a stand-in)" ;;
    sync)
        echo "$@" >>"$UV_FAKE_CALLS"
        if [ -n "${UV_FAKE_FAILS:-}" ]; then echo "no such package" >&2 && exit 2; fi
        mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
        cp "$UV_FAKE_HONGYAN" "$UV_PROJECT_ENVIRONMENT/bin/hongyan"
        cp "$UV_FAKE_HONGYAN" "$UV_PROJECT_ENVIRONMENT/bin/python" ;;
esac
"""


class Checkout:
    """A copy of what the scripts need, in a folder with a space in its name."""

    def __init__(self, tmp: Path) -> None:
        self.root = tmp / "check out"
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("pyproject.toml", "uv.lock"):
            shutil.copy(ROOT / name, self.root)
        self.calls = tmp / "uv calls"
        (self.root / ".uv/bin").mkdir(parents=True)
        executable(self.root / ".uv/bin/uv", UV)
        executable(tmp / "hongyan", HONGYAN)
        text = (ROOT / "scripts/_env.sh").read_text("utf-8")
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("UV_")},
            "UV_PYTHON": sys.executable,
            "UV_FAKE_VERSION": text.split("uv_version=")[1].split()[0],
            "UV_FAKE_CALLS": str(self.calls),
            "UV_FAKE_HONGYAN": str(tmp / "hongyan"),
        }

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            args or (str(self.root / "scripts/serve"), "--port", "1 2"),
            env=self.env | env,
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def syncs(self) -> list[str]:
        return self.calls.read_text("utf-8").splitlines() if self.calls.exists() else []


def executable(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with the basic tools and no Python."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
    return folder


def test_a_second_start_installs_nothing(checkout: Checkout) -> None:
    first, second = checkout.run(), checkout.run()
    for run in (first, second):
        assert run.stdout == f"in {checkout.root.parent}: serve --port 1 2\n", run.stderr
    assert len(checkout.syncs()) == 1
    assert "--frozen" in checkout.syncs()[0]
    assert second.stderr == ""


def test_it_works_through_a_symlink(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.root / "scripts/serve")
    assert checkout.run(str(tmp_path / "link"), "--help").stdout.endswith("serve --help\n")


@pytest.mark.parametrize("changed", ["uv.lock", "pyproject.toml"])
def test_a_change_of_what_is_wanted_installs_again(checkout: Checkout, changed: str) -> None:
    checkout.run()
    with (checkout.root / changed).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert checkout.run().returncode == 0
    assert len(checkout.syncs()) == 2


def test_a_moved_checkout_installs_again(checkout: Checkout) -> None:
    checkout.run()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.run().returncode == 0
    assert len(checkout.syncs()) == 2


def test_the_tests_environment_is_enough_for_the_server(checkout: Checkout) -> None:
    assert "all passed" in checkout.run(str(checkout.root / "scripts/test")).stdout
    checkout.run()
    assert len(checkout.syncs()) == 1


def test_the_servers_environment_is_not_enough_for_the_tests(checkout: Checkout) -> None:
    checkout.run()
    checkout.run(str(checkout.root / "scripts/test"))
    assert [("--group dev" in sync) for sync in checkout.syncs()] == [False, True]


def test_one_that_waits_for_the_lock_does_not_install_again(checkout: Checkout) -> None:
    checkout.run()
    stamp = checkout.root / ".venv/hongyan-run.stamp"
    wanted = stamp.read_bytes()
    stamp.unlink()
    with (checkout.root / ".uv/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [checkout.root / "scripts/serve"],
            env=checkout.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "waiting for another script" in waiting.stderr.readline()
        stamp.write_bytes(wanted)  # the other one is done
    out, _ = waiting.communicate(timeout=60)
    assert out.endswith(": serve\n")
    assert len(checkout.syncs()) == 1


def test_a_failed_installation_says_so_and_is_tried_again(checkout: Checkout) -> None:
    failed = checkout.run(UV_FAKE_FAILS="yes")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-2:] == [
        "no such package",
        "hongyan: could not install the packages of uv.lock (see above)",
    ]
    assert checkout.run().returncode == 0


def test_no_python_is_one_line(checkout: Checkout, bare_path: Path) -> None:
    run = checkout.run(PATH=str(bare_path), UV_PYTHON="")
    assert (run.returncode, run.stdout) == (1, "")
    assert len(run.stderr.splitlines()) == 1
    assert "CPython 3.11 or newer" in run.stderr


@pytest.mark.parametrize("old", ["exit 1", "exit 127", "echo garbage"])
def test_a_python_that_does_not_fit_is_passed_over(
    checkout: Checkout, bare_path: Path, old: str
) -> None:
    executable(bare_path / "python3", f"#!/bin/sh\n{old}\n")
    (bare_path / "python3.11").symlink_to(sys.executable)
    (bare_path / "cp").symlink_to(shutil.which("cp") or "")
    run = checkout.run(PATH=str(bare_path), UV_PYTHON="")
    assert run.stdout.endswith("serve --port 1 2\n"), run.stderr


def test_a_missing_venv_is_one_line_that_says_what_to_install(
    checkout: Checkout, bare_path: Path
) -> None:
    executable(bare_path / "python3", "#!/bin/sh\necho lame python3.11\n")
    executable(bare_path / "apt-get", "#!/bin/sh\n")
    run = checkout.run(PATH=str(bare_path), UV_PYTHON="")
    assert (run.returncode, run.stderr) == (
        1,
        "hongyan: python3.11 has no venv; run: apt-get install python3.11-venv\n",
    )
