"""What is not downloaded, and the words for it; access and its variables."""

from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.models.hub import Hub, HubAccess, hub_access, is_repository_id
from mcp_local_llm.values.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    ConfigError,
    DownloadError,
    IncompleteModelError,
    LocalLLMError,
    UnknownModelError,
)
from tests.loopback_hub import LoopbackHub

NAME = "acme/tiny-4bit"


@pytest.mark.parametrize(
    ("status", "word", "kind", "says"),
    [
        (404, "RepoNotFound", UnknownModelError, "no public repository acme/tiny-4bit"),
        (401, "RepoNotFound", UnknownModelError, "If it is private: then set HF_TOKEN"),
        (401, "GatedRepo", DownloadError, "is gated: accept its terms at http://127.0.0.1:"),
        (403, "GatedRepo", DownloadError, "is gated"),
        (401, "InvalidToken", DownloadError, "refuses the token"),
        (403, "", DownloadError, "forbids access"),
        (429, "", BackendUnavailableError, "limits requests"),
        (503, "", BackendUnavailableError, "status 503"),
    ],
)
async def test_each_refusal_of_the_hub_has_its_own_words(
    hub: Hub, server: LoopbackHub, status: int, word: str, kind: type[LocalLLMError], says: str
) -> None:
    server.refuse[NAME] = (status, word)
    with pytest.raises(kind, match=says):
        await hub.describe(NAME)


async def test_offline_is_one_sentence_and_no_request(server: LoopbackHub, cache: Path) -> None:
    hub = Hub(HubAccess(cache, server.endpoint, offline=True))
    with pytest.raises(BackendUnavailableError, match="HF_HUB_OFFLINE keeps it off the network: unset it") as raised:
        await hub.describe(NAME)
    assert str(raised.value).count(".") == 1
    assert server.served == []


async def test_a_hub_that_does_not_answer_is_named(cache: Path) -> None:
    hub = Hub(HubAccess(cache, "http://127.0.0.1:9"))
    with pytest.raises(BackendUnavailableError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        await hub.describe(NAME)


async def test_weights_that_are_only_pickled_are_refused(hub: Hub, server: LoopbackHub) -> None:
    server.repositories[NAME] = {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04"}
    with pytest.raises(IncompleteModelError, match="acme/tiny-4bit is not downloaded: its weights are pickled"):
        await hub.describe(NAME)


async def test_gguf_files_are_no_safetensors(hub: Hub, server: LoopbackHub) -> None:
    server.repositories[NAME] = {"model-Q4_K_M.gguf": b"GGUF"}
    with pytest.raises(IncompleteModelError, match="GGUF files"):
        await hub.describe(NAME)


@pytest.mark.fault(
    "Models that are broken or hostile",
    "a repository lists a file outside of its folder",
    promised="refused before a byte is fetched",
    tries=1,
)
@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/passwd.json", "a/../../b.json", "a\\..\\b.json", "x\n.json", ""]
)
async def test_a_file_name_that_leaves_the_folder_refuses_the_repository(
    hub: Hub, server: LoopbackHub, name: str
) -> None:
    server.extra.append({"rfilename": name, "size": 1, "blobId": "0" * 40})
    with pytest.raises(DownloadError, match="a file outside of its folder"):
        await hub.describe(NAME)


@pytest.mark.parametrize(
    "entry",
    [
        {"rfilename": "more.json", "size": 3},
        {"rfilename": "more.json", "blobId": "0" * 40},
        {"rfilename": "more.json", "size": 3, "blobId": "../../evil"},
        {"rfilename": "more.json", "size": 3, "lfs": {"sha256": "/tmp/evil"}},
        {"rfilename": "more.json", "size": -3, "blobId": "0" * 40},
    ],
)
async def test_a_file_that_cannot_be_verified_refuses_the_repository(
    hub: Hub, server: LoopbackHub, entry: dict[str, Any]
) -> None:
    server.extra.append(entry)
    with pytest.raises(DownloadError, match=r"no size or no hash of more\.json"):
        await hub.describe(NAME)


async def test_something_else_than_a_hub_is_told(server: LoopbackHub, cache: Path) -> None:
    hub = Hub(HubAccess(cache, f"{server.endpoint}/{NAME}/resolve/main/README.md?"))
    with pytest.raises(BackendProtocolError, match="Check HF_ENDPOINT"):
        await hub.describe(NAME)


async def test_the_token_goes_to_the_hub_and_not_to_the_host_of_the_files(server: LoopbackHub, cache: Path) -> None:
    hub = Hub(HubAccess(cache, server.endpoint, token="hf_secret"))
    await hub.fetch(await hub.describe(NAME), lambda progress: None)
    assert {one.authorization for one in server.served if one.path.startswith("/cdn/")} == {None}
    assert {one.authorization for one in server.served if not one.path.startswith("/cdn/")} == {"Bearer hf_secret"}


def test_the_hubs_variables_mean_what_they_mean_elsewhere(home: Path) -> None:
    environ = {"HF_ENDPOINT": "https://mirror.example/", "HF_HUB_OFFLINE": "yes", "HF_TOKEN": " hf_abc\n"}
    access = hub_access(environ, home, home / "hub")
    assert (access.endpoint, access.offline, access.read_token()) == ("https://mirror.example", True, "hf_abc")
    assert hub_access({}, home, home / "hub").endpoint == "https://huggingface.co"
    assert hub_access({"HF_HUB_OFFLINE": "0"}, home, home / "hub").offline is False


def test_a_token_of_a_login_is_found_and_can_be_kept_back(home: Path) -> None:
    file = home / ".cache" / "huggingface" / "token"
    file.parent.mkdir(parents=True)
    file.write_text("hf_login\n")
    assert hub_access({}, home, home / "hub").read_token() == "hf_login"
    assert hub_access({"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, home, home / "hub").read_token() is None
    assert hub_access({"HF_HOME": str(home / "other")}, home, home / "hub").read_token() is None


def test_an_endpoint_that_is_no_address_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="HF_ENDPOINT is 'mirror'"):
        hub_access({"HF_ENDPOINT": "mirror"}, home, home)


@pytest.mark.parametrize(
    "text", ["32b", "qwen", "a/b/c", "a/", "/b", "../b", "a/..", "a--b/c", "a b/c", "a/b\n", "", "ä/b"]
)
def test_a_fragment_is_no_repository(text: str) -> None:
    assert not is_repository_id(text)
