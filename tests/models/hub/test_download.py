"""Downloads against a hub on the loopback interface: whole, interrupted, damaged, cancelled."""

from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.hub import Hub, HubAccess
from mcp_local_llm.models.hub.cache import RepositoryCache
from mcp_local_llm.values.errors import BackendUnavailableError, BusyError, DownloadError
from mcp_local_llm.values.progress import Progress
from tests.clients import POLL_S, WAIT_S
from tests.loopback_hub import COMMIT, LoopbackHub

NAME = "acme/tiny-4bit"
WEIGHTS = "model.safetensors"
PART = 1_000_000


def ignore(progress: Progress) -> None:
    """Take progress that no test looks at."""


def snapshot(cache: Path) -> Path:
    return cache / "models--acme--tiny-4bit" / "snapshots" / COMMIT


def blobs(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (cache / "models--acme--tiny-4bit" / "blobs").iterdir()}


async def test_a_download_brings_the_model_and_nothing_that_is_code(hub: Hub, cache: Path, server: LoopbackHub) -> None:
    repository = await hub.describe(NAME)
    fetched_bytes = await hub.fetch(repository, ignore)
    names = {path.name for path in snapshot(cache).iterdir()}
    assert {WEIGHTS, "config.json", "tokenizer.json"} <= names
    assert names.isdisjoint({"modeling_acme.py", "README.md", "onnx"})
    for path in snapshot(cache).iterdir():
        assert path.read_bytes() == server.repositories[NAME][path.name]
    assert fetched_bytes == repository.size
    assert not [name for name in blobs(cache) if name.endswith(".incomplete")]


async def test_variants_of_the_chat_template_are_fetched_into_their_folder(
    hub: Hub, cache: Path, server: LoopbackHub
) -> None:
    variant = "additional_chat_templates/tool_use.jinja"
    server.repositories[NAME][variant] = b"{{ tools }}"
    await hub.fetch(await hub.describe(NAME), ignore)
    assert (snapshot(cache) / variant).read_bytes() == b"{{ tools }}"
    assert not (snapshot(cache) / "onnx").exists()


async def test_other_tools_find_the_model_in_the_cache(hub: Hub, cache: Path) -> None:
    fetched_bytes = await hub.fetch(await hub.describe(NAME), ignore)
    (repository,) = scan_cache_dir(cache).repos
    (revision,) = repository.revisions
    assert (repository.repo_id, revision.commit_hash, revision.refs) == (NAME, COMMIT, {"main"})
    assert revision.size_on_disk == fetched_bytes
    assert try_to_load_from_cache(NAME, WEIGHTS, cache_dir=cache) == str(snapshot(cache) / WEIGHTS)


async def test_discovery_finds_the_finished_model_sound(hub: Hub, cache: Path) -> None:
    await hub.fetch(await hub.describe(NAME), ignore)
    (model,) = find_models(ModelRoots(hub_caches=(cache,)))
    assert (model.id, model.usable) == (NAME, True)


async def test_progress_grows_to_the_size_of_the_repository(hub: Hub, seen: list[Progress]) -> None:
    repository = await hub.describe(NAME)
    await hub.fetch(repository, seen.append)
    assert {step.phase for step in seen} == {"downloading"}
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, repository.size, repository.size)
    assert seen[-1].rate


async def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, cache: Path, server: LoopbackHub) -> None:
    server.cut_after[WEIGHTS] = PART
    repository = await hub.describe(NAME)
    with pytest.raises(BackendUnavailableError, match="continued"):
        await hub.fetch(repository, ignore)
    kept = sum(size for name, size in blobs(cache).items() if name.endswith(".incomplete"))
    assert 0 < kept <= PART
    (model,) = find_models(ModelRoots(hub_caches=(cache,)))
    assert not model.usable
    assert "partial download" in "; ".join(model.problems)

    before = len(server.served)
    fetched_bytes = await hub.fetch(repository, ignore)
    (request,) = [one for one in server.served[before:] if one.status in (200, 206)]
    assert (request.path, request.range) == (f"/cdn/{NAME}/{WEIGHTS}", f"bytes={kept}-")
    size = len(server.repositories[NAME][WEIGHTS])
    assert fetched_bytes == size - kept
    (model,) = find_models(ModelRoots(hub_caches=(cache,)))
    assert model.usable


async def test_a_broken_connection_is_taken_up_again_by_itself(access: HubAccess, server: LoopbackHub) -> None:
    server.cut_after[WEIGHTS] = PART
    hub = Hub(access, pauses=(0.0,))
    await hub.fetch(await hub.describe(NAME), ignore)
    assert [one.range is None for one in server.asked_for(WEIGHTS)] == [True, False]


async def test_a_server_without_ranges_is_read_from_the_start(hub: Hub, server: LoopbackHub) -> None:
    server.cut_after[WEIGHTS] = PART
    repository = await hub.describe(NAME)
    with pytest.raises(BackendUnavailableError):
        await hub.fetch(repository, ignore)
    server.ranges = False
    fetched_bytes = await hub.fetch(repository, ignore)
    assert fetched_bytes == len(server.repositories[NAME][WEIGHTS])


async def test_a_second_download_asks_for_no_file(hub: Hub, server: LoopbackHub, seen: list[Progress]) -> None:
    repository = await hub.describe(NAME)
    await hub.fetch(repository, ignore)
    before = len(server.served)
    fetched_bytes = await hub.fetch(repository, seen.append)
    assert fetched_bytes == 0
    assert server.served[before:] == []
    assert [(step.done, step.total) for step in seen] == [(repository.size, repository.size)]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
async def test_a_flipped_byte_is_found_and_the_file_is_not_kept(
    hub: Hub, cache: Path, server: LoopbackHub, name: str
) -> None:
    repository = await hub.describe(NAME)
    true = server.repositories[NAME][name]
    server.content[name] = true[:-1] + bytes([true[-1] ^ 1])
    with pytest.raises(DownloadError, match=f"{name} of {NAME} arrived damaged"):
        await hub.fetch(repository, ignore)
    etag = next(file.etag for file in repository.files if file.name == name)
    assert etag not in blobs(cache)
    assert not any(model.usable for model in find_models(ModelRoots(hub_caches=(cache,))))
    server.content.clear()
    await hub.fetch(repository, ignore)
    assert any(model.usable for model in find_models(ModelRoots(hub_caches=(cache,))))


async def test_a_byte_flipped_on_the_disk_in_a_partial_file_is_found(
    hub: Hub, cache: Path, server: LoopbackHub
) -> None:
    server.cut_after[WEIGHTS] = PART
    repository = await hub.describe(NAME)
    with pytest.raises(BackendUnavailableError):
        await hub.fetch(repository, ignore)
    (partial,) = [
        path for path in (cache / "models--acme--tiny-4bit" / "blobs").iterdir() if path.name.endswith(".incomplete")
    ]
    content = bytearray(partial.read_bytes())
    content[1000] ^= 1
    partial.write_bytes(content)
    with pytest.raises(DownloadError, match="damaged"):
        await hub.fetch(repository, ignore)
    await hub.fetch(repository, ignore)


async def test_a_cancelled_download_stops_inside_a_file_and_stays_resumable(
    hub: Hub, cache: Path, server: LoopbackHub
) -> None:
    server.hold_after[WEIGHTS] = PART
    repository = await hub.describe(NAME)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.fetch, repository, ignore)
            await anyio.to_thread.run_sync(server.held.wait, WAIT_S)
            tasks.cancel_scope.cancel()
    server.go.set()
    (model,) = find_models(ModelRoots(hub_caches=(cache,)))
    assert not model.usable
    await hub.fetch(repository, ignore)
    assert (RepositoryCache(cache, repository).snapshot / WEIGHTS).read_bytes() == server.repositories[NAME][WEIGHTS]


async def test_two_downloads_of_one_process_queue_and_fetch_once(
    hub: Hub, server: LoopbackHub, seen: list[Progress]
) -> None:
    repository = await hub.describe(NAME)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.fetch, repository, ignore)
        tasks.start_soon(hub.fetch, repository, seen.append)
    assert len(server.asked_for(WEIGHTS)) == 1
    assert seen[0] == Progress("queued", 1)


async def test_another_process_that_downloads_the_same_is_waited_for_by_the_user(hub: Hub, cache: Path) -> None:
    repository = await hub.describe(NAME)
    with RepositoryCache(cache, repository).locked(), pytest.raises(BusyError, match="another process"):
        await hub.fetch(repository, ignore)


async def test_a_full_disk_is_told_before_the_first_byte(access: HubAccess, server: LoopbackHub) -> None:
    hub = Hub(access, free=lambda folder: 501_000_000)
    repository = await hub.describe(NAME)
    before = len(server.served)
    with pytest.raises(DownloadError, match=r"needs 1\.\d MB more .* where 501\.0 MB are free"):
        await hub.fetch(repository, ignore)
    assert server.served[before:] == []


async def test_a_snapshot_that_another_tool_began_is_completed(hub: Hub, cache: Path) -> None:
    repository = await hub.describe(NAME)
    snapshot = RepositoryCache(cache, repository).snapshot
    snapshot.mkdir(parents=True)
    (snapshot / WEIGHTS).symlink_to("../../blobs/gone")
    await hub.fetch(repository, ignore)
    (model,) = find_models(ModelRoots(hub_caches=(cache,)))
    assert model.usable


async def test_a_cache_that_cannot_be_written_is_named(server: LoopbackHub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file, no folder")
    hub = Hub(HubAccess(tmp_path / "hub", server.endpoint))
    with pytest.raises(DownloadError, match=r"cannot be written to .*hub"):
        await hub.fetch(await hub.describe(NAME), ignore)


async def test_several_files_are_fetched_side_by_side(hub: Hub, server: LoopbackHub) -> None:
    repository = await hub.describe(NAME)
    first, *others = (file.name for file in repository.files)
    server.hold_after[first] = 10

    async def let_the_first_go_on_when_the_others_came() -> None:
        while not all(server.asked_for(name) for name in others):
            await anyio.sleep(POLL_S)
        server.go.set()

    # One after the other, this would not end.
    with anyio.fail_after(WAIT_S / 3):
        async with anyio.create_task_group() as group:
            group.start_soon(let_the_first_go_on_when_the_others_came)
            await hub.fetch(repository, ignore)
