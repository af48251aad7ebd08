"""The package list of pyproject.toml is explicit: a forgotten sub-package would miss the wheel while the build succeeds."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_every_package_folder_is_listed() -> None:
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("carla_rl", "toy_env")
        for init in (ROOT / top).rglob("*.py")
        if "__pycache__" not in init.parts
    }
    mapped = {name for name in SETUPTOOLS["package-dir"] if name not in ("carla_rl", "toy_env")}
    assert found | mapped == {name for name in SETUPTOOLS["packages"] if name != "carla_rl.schemas"} | (found & {"carla_rl.schemas"})


def test_every_data_file_is_covered_by_package_data() -> None:
    covered = set()
    for package, patterns in SETUPTOOLS["package-data"].items():
        folder = ROOT / SETUPTOOLS["package-dir"].get(package, package.replace(".", "/"))
        covered |= {path for pattern in patterns for path in folder.glob(pattern)}
    data = {
        path
        for top in ("carla_rl", "toy_env", "scenarios")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
    }
    assert data <= covered, f"not shipped: {sorted(str(path.relative_to(ROOT)) for path in data - covered)}"


def test_folders_that_would_shadow_other_packages_are_no_packages() -> None:
    """CARLA's PythonAPI owns the import name `agents`, ROS 2 owns `launch`; an __init__.py here would beat them."""
    for name in ("agents", "launch", "tests"):
        assert not (ROOT / name / "__init__.py").exists(), f"{name}/__init__.py must not exist"


def test_opencv_is_the_headless_one() -> None:
    names = [requirement.split(">")[0].split("=")[0] for requirement in PROJECT["project"]["dependencies"]]
    assert "opencv-python-headless" in names
    assert "opencv-python" not in names


def test_the_constraints_pin_every_dependency() -> None:
    """What was tested is pinned, each once, to one version."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    assert all("==" in line for line in lines)
    assert len(pinned) == len(set(pinned))
    extras = [item for extra in PROJECT["project"]["optional-dependencies"].values() for item in extra]
    for requirement in PROJECT["project"]["dependencies"] + extras:
        name = requirement.replace(">", "=").split("=")[0].strip().lower()
        assert name in pinned or name == "setuptools", f"{name} is not pinned"
