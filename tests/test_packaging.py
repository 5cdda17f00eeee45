"""The wheel: what is in it, what it asks for, and that it works where the repository is not."""

import email
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from mcp_local_llm import __version__
from tests.source import ROOT

TINY_LIMIT_BYTES = 3_000_000
BOUNDED = {"mcp": "<3", "mlx-lm": "<0.33", "mlx": "<0.33", "pydantic": "<3", "httpx": "<1"}
"""Dependencies whose next release is known, or expected, to break us."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; the build needs no network and no environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip lays it out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(site: Path) -> Message:
    (file,) = site.glob("*.dist-info/METADATA")
    return email.message_from_string(file.read_text(encoding="utf-8"))


def test_the_wheel_is_pure_and_carries_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"mcp_local_llm-{__version__}-py3-none-any.whl"


def test_every_prompt_is_inside(site: Path) -> None:
    prompts = [*(ROOT / "prompts").rglob("*.md"), *(ROOT / "prompts" / "bench").glob("*.toml")]
    assert {prompt.parent.name for prompt in prompts} == {"prompts", "tasks", "agents", "bench"}
    for prompt in prompts:
        assert (site / "mcp_local_llm" / prompt.relative_to(ROOT)).read_bytes() == prompt.read_bytes()
    assert (site / "mcp_local_llm" / "prompts" / "switch-model.md").is_file()


def test_the_built_in_model_is_inside_and_small(site: Path) -> None:
    folder = site / "mcp_local_llm" / "tiny"
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) <= TINY_LIMIT_BYTES


def test_type_checkers_may_use_the_annotations(site: Path) -> None:
    assert (site / "mcp_local_llm" / "py.typed").is_file()


def test_nothing_but_the_package_is_inside(site: Path) -> None:
    assert {path.name for path in site.iterdir()} == {"mcp_local_llm", f"mcp_local_llm-{__version__}.dist-info"}
    assert [path.name for path in site.rglob("*") if path.suffix == ".pyc"] == []


def test_dependencies_are_bounded_where_a_release_may_break_us(metadata: Message) -> None:
    wanted = requirements(metadata)
    for name, bound in BOUNDED.items():
        assert [text for text in wanted if is_for(text, name) and bound not in text] == [], name
        assert any(is_for(text, name) for text in wanted), name


def test_mlx_comes_with_metal_on_macs_and_on_the_processor_on_linux(metadata: Message) -> None:
    wanted = [text.replace('"', "'") for text in requirements(metadata)]
    (mac,) = [text for text in wanted if is_for(text, "mlx") and "'darwin'" in text]
    assert "[" not in mac.partition(";")[0]
    (linux,) = [text for text in wanted if is_for(text, "mlx") and "'linux'" in text and "extra" not in text]
    assert linux.startswith("mlx[cpu]")
    (cuda,) = [text for text in wanted if "extra == 'cuda'" in text]
    assert cuda.startswith("mlx[cuda13]")
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_command_is_declared(site: Path) -> None:
    (file,) = site.glob("*.dist-info/entry_points.txt")
    assert "mcp-local-llm = mcp_local_llm.__main__:main" in file.read_text(encoding="utf-8")


PROGRAM = """
import sys
from pathlib import Path
import mcp_local_llm
from mcp_local_llm.models.find import default_roots, find_models
from mcp_local_llm.setup.places import read_prompt
print(Path(mcp_local_llm.__file__).parents[1])
print(len(read_prompt("switch-model")))
print([model.id for model in find_models(default_roots({}, Path(sys.argv[1])))])
"""


@pytest.mark.parametrize("layout", ["wheel", "checkout"])
def test_prompts_and_the_built_in_model_are_found(site: Path, home: Path, layout: str) -> None:
    root = site if layout == "wheel" else ROOT
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home)],
        cwd=home,
        env={"PYTHONPATH": str(root), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    size = len((ROOT / "prompts" / "switch-model.md").read_text(encoding="utf-8"))
    assert done.stdout.splitlines() == [str(root), str(size), "['tiny']"]


def requirements(metadata: Message) -> list[str]:
    return [str(text) for text in metadata.get_all("Requires-Dist", [])]


def is_for(requirement: str, name: str) -> bool:
    rest = requirement.removeprefix(name)
    return rest != requirement and not rest[:1].isalnum() and rest[:1] != "-"
