"""On a CPU quantized weights get scales in float32; estimates of memory know what the network computes in."""

from pathlib import Path
from typing import Any, cast

import mlx.core
import mlx.utils
import pytest
from mlx_lm.models.cache import make_prompt_cache

from benchmarks.discovered import model_in
from benchmarks.random_model import Shape, make_model
from mcp_local_llm.engines.mlx.load.kv_cache import held_bytes
from mcp_local_llm.engines.mlx.load.precision import widen_scales
from mcp_local_llm.engines.mlx.load.weights import LoadedModel, load
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import ask, engine_of

# mlx declares its types in part only.
mx: Any = mlx.core
STEP = 256
"""Tokens by which mlx-lm's `KVCache` grows."""


def shape(dtype: str, bits: int | None = 4) -> Shape:
    return Shape("mini", 512, 64, 2, 2, 1, 128, bits, dtype)


def made(folder: Path, model: Shape) -> ModelInfo:
    return model_in(make_model(folder / "mini", model))


def loaded(model: ModelInfo) -> LoadedModel:
    return load(model, lambda done, total: None, lambda: False, None)


def arrays(network: Any) -> dict[str, Any]:
    return dict(cast(Any, mlx.utils).tree_flatten(network.parameters()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scales_of_16_bits_become_float32_on_a_cpu_and_nothing_else_changes(tmp_path: Path, dtype: str) -> None:
    model = made(tmp_path, shape(dtype))
    stored = mx.load(str(model.path / "model.safetensors"))
    widened = {name for name in stored if name.endswith((".scales", ".biases"))}
    assert {str(stored[name].dtype) for name in widened} == {f"mlx.core.{dtype}"}
    held = arrays(loaded(model).network)
    assert held.keys() == stored.keys()
    for name, array in held.items():
        assert array.dtype == (mx.float32 if name in widened else stored[name].dtype)
        assert mx.array_equal(array, stored[name].astype(array.dtype))


def test_scales_stay_as_they_are_where_norms_of_32_bits_make_the_network_compute_in_32(tmp_path: Path) -> None:
    model = made(tmp_path, shape("float16"))
    file = model.path / "model.safetensors"
    stored = mx.load(str(file))
    wide = {name: array.astype(mx.float32) for name, array in stored.items() if name.endswith("norm.weight")}
    mx.save_safetensors(str(file), {**stored, **wide}, {"format": "mlx"})
    ready = loaded(model)
    assert {str(array.dtype) for name, array in arrays(ready.network).items() if name.endswith(".scales")} == {
        "mlx.core.float16"
    }
    assert ready.shape.value_bytes == 4


def test_scales_stay_as_they_are_where_mlx_computes_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = loaded(made(tmp_path, shape("float32"))).network
    network.set_dtype(mx.bfloat16)
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(mx.DeviceType.gpu))
    widen_scales(network)
    assert {array.dtype for name, array in arrays(network).items() if name.endswith(".scales")} == {mx.bfloat16}


async def test_the_answer_is_that_of_the_same_weights_published_with_float32_scales(tmp_path: Path) -> None:
    narrow = made(tmp_path / "narrow", shape("bfloat16"))
    wide = made(tmp_path / "wide", shape("bfloat16"))
    file = wide.path / "model.safetensors"
    stored = mx.load(str(file))
    change = {name: array.astype(mx.float32) for name, array in stored.items() if name.endswith((".scales", ".biases"))}
    mx.save_safetensors(str(file), {**stored, **change}, {"format": "mlx"})
    answers: list[str] = []
    for model in (narrow, wide):
        async with engine_of(model) as engine:
            answers.append((await ask(engine, "A cat and a dog")).text)
    assert answers[0] == answers[1] != ""


@pytest.mark.parametrize(
    ("model", "value_bytes"),
    [(shape("float32", None), 4), (shape("bfloat16", None), 2), (shape("float32"), 4), (shape("bfloat16"), 4)],
    ids=["float32", "bfloat16", "four bits, float32", "four bits, bfloat16 on a CPU"],
)
def test_the_estimate_of_a_prompts_cache_is_what_the_cache_takes(
    tmp_path: Path, model: Shape, value_bytes: int
) -> None:
    ready = loaded(made(tmp_path, model))
    layers = make_prompt_cache(ready.network)
    mx.eval(ready.network(mx.zeros((1, STEP), mx.int32), cache=layers))
    assert ready.shape.value_bytes == value_bytes
    assert ready.shape.kv_bytes_per_token * STEP == held_bytes(layers)
