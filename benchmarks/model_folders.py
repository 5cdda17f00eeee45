"""Models to measure with that are copies of the built-in one; it makes folders and knows no engine."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import mlx.core

# mlx declares its types in part only.
mx: Any = mlx.core

REVISION = "0" * 40


def make_endless_tiny(folder: Path) -> None:
    """Copy the built-in model, so that it never ends an answer, with a longer window: lengths must not depend on words.

    The last layer gives no probability to the tokens that end a turn.
    """
    shutil.copytree(_tiny(), folder, dirs_exist_ok=True)
    changes = {"max_position_embeddings": 32_768, "tie_word_embeddings": False}
    for name, more in {"config.json": changes, "tokenizer_config.json": {"model_max_length": 32_768}}.items():
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | more))
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    weights = mx.load(str(folder / "model.safetensors"))
    last = mx.array(weights["model.embed_tokens.weight"])
    # A logit of 0, where the token that is drawn has one far above.
    last[mx.array([token["id"] for token in added if token["special"]])] = 0
    mx.save_safetensors(str(folder / "model.safetensors"), weights | {"lm_head.weight": last})


def fill_hub_cache(home: Path, count: int) -> None:
    """Place `count` copies of the built-in model in the hub cache of `home`, laid out as the hub's library does."""
    for number in range(count):
        repository = home / ".cache" / "huggingface" / "hub" / f"models--bench--Tiny-{number:02}-4bit"
        snapshot = repository / "snapshots" / REVISION
        blobs = repository / "blobs"
        for folder in (snapshot, blobs, repository / "refs"):
            folder.mkdir(parents=True)
        (repository / "refs" / "main").write_text(REVISION)
        for position, file in enumerate(sorted(path for path in _tiny().iterdir() if path.is_file())):
            blob = blobs / f"{position:040x}"
            shutil.copyfile(file, blob)
            (snapshot / file.name).symlink_to(blob)


def _tiny() -> Path:
    return Path(sys.modules["mcp_local_llm"].__file__ or "").parent / "tiny"
