"""`platform/` is a source root: the standard library's `platform` stays itself under every entry point."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROOF = "import platform; print(platform.python_version(), platform.__file__)"


def test_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), "it would shadow the standard library's platform"


def test_tests_see_the_standard_library() -> None:
    import platform

    assert Path(str(platform.__file__)).parent == Path(str(subprocess.__file__)).parent


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "manage.py", "shell", "--no-imports", "-v0", "-c", PROOF],
        [sys.executable, "-m", "celery", "-A", "config", "report"],  # prints platform.python_version()
        [sys.executable, "-c", PROOF],
    ],
    ids=["manage.py", "celery", "python"],
)
def test_stays_intact_under(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert sys.version.split()[0] in done.stdout
    assert "platform/__init__" not in done.stdout


def test_the_wheel_holds_the_packages_at_its_top(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert {"config", "core", "outputs", "evals", "reviews"} <= tops
    assert "platform" not in tops
    assert "config/templates/page.html" in names
    assert "desk/static/ratchet.css" in names
