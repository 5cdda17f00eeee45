"""Settings from the file and from variables."""

import dataclasses
import os
from pathlib import Path

import pytest

from mcp_local_llm.setup.settings import SETTING_SCOPES, TABLES, Settings
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.chat import SamplingParams
from mcp_local_llm.values.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_a_file_or_variables_the_defaults_hold(file: Path) -> None:
    assert load_settings(file, {}) == Settings()


def test_the_file_is_read(file: Path) -> None:
    file.write_text('model = "32b"\nfolders = ["/models", "~/more"]\nreserve_context = 4096\nforce = true\n')
    settings = load_settings(file, {})
    assert settings.model == "32b"
    assert settings.folders == (Path("/models"), Path("~/more").expanduser())
    assert (settings.reserve_context, settings.force) == (4096, True)


def test_a_variable_wins_over_the_file(file: Path) -> None:
    file.write_text('model = "32b"\nreserve_context = 4096\n')
    settings = load_settings(file, {"MCP_LOCAL_LLM_MODEL": "7b", "MCP_LOCAL_LLM_FOLDERS": "/a:/b", "MODEL": "other"})
    assert (settings.model, settings.reserve_context) == ("7b", 4096)
    assert settings.folders == (Path("/a"), Path("/b"))


def test_what_files_may_be_read_is_set_by_lists(file: Path) -> None:
    file.write_text('roots = ["~/notes", "/data"]\nsecret_names = ["*.token"]\nallow = [".env.example"]\n')
    settings = load_settings(file, {"MCP_LOCAL_LLM_SECRET_NAMES": "*.token:private/"})
    assert settings.roots == (Path("~/notes").expanduser(), Path("/data"))
    assert (settings.secret_names, settings.allow) == (("*.token", "private/"), (".env.example",))


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_unset(file: Path, empty: str) -> None:
    file.write_text('model = "32b"\n')
    assert load_settings(file, {"MCP_LOCAL_LLM_MODEL": empty}).model == "32b"


@pytest.mark.parametrize(("text", "environ"), [("kv_bits = 8", {}), ("", {"MCP_LOCAL_LLM_KV_BITS": " 8 "})])
def test_a_choice_among_numbers_is_read_from_the_file_and_from_a_variable(
    file: Path, text: str, environ: dict[str, str]
) -> None:
    file.write_text(text)
    assert load_settings(file, environ).kv_bits == 8


BOX = "[[endpoints]]\nname='box'\nurl='http://h/v1'"

REFUSED: list[tuple[str, dict[str, str], list[str]]] = [
    ('modell = "32b"', {}, ["config.toml", "there is no setting 'modell'", "model, folders"]),
    ("reserve_context = 1", {}, ["config.toml", "'reserve_context' is 1", "greater than or equal to 512"]),
    ("prefix_disk_mb = -1", {}, ["config.toml", "'prefix_disk_mb' is -1", "greater than or equal to 0"]),
    ("model = 7", {}, ["config.toml", "'model' is 7", "valid string"]),
    ("reserve_contxt = 1", {}, ["config.toml", "Did you mean 'reserve_context'?"]),
    ("[[endpoints]]\nname='a'\nurl='http://h/v1'\napi_key_envv='A'", {}, ["'api_key_envv'", "mean 'api_key_env'?"]),
    ('log_level = "loud"', {}, ["config.toml", "'log_level'", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"]),
    ("preload = 3", {}, ["config.toml", "'preload' is 3"]),
    ("", {"MCP_LOCAL_LLM_MODLE": "32b"}, ["MCP_LOCAL_LLM_MODLE: there is no such setting", "MCP_LOCAL_LLM_MODEL?"]),
    ("", {"MCP_LOCAL_LLM_RESERVE_CONTXT": "1"}, ["Did you mean MCP_LOCAL_LLM_RESERVE_CONTEXT?"]),
    ("", {"MCP_LOCAL_LLM_QQQ": "1"}, ["MCP_LOCAL_LLM_QQQ: there is no such setting", "MCP_LOCAL_LLM_API_KEY, "]),
    ("", {"MCP_LOCAL_LLM_": "1"}, ["MCP_LOCAL_LLM_: there is no such setting"]),
    ("", {"MCP_LOCAL_LLM_model": "1"}, ["MCP_LOCAL_LLM_model: there is no such setting"]),
    ("", {"MCP_LOCAL_LLM_ENDPOINTS": "x"}, ["MCP_LOCAL_LLM_ENDPOINTS: 'endpoints' can only be set in the file"]),
    ("", {"MCP_LOCAL_LLM_LAUNCH": "x"}, ["'cluster' can only be set in the file"]),
    ("launch = []\ncluster = []", {}, ["'launch' is the old name of 'cluster', and both are there"]),
    ("model = ", {}, ["config.toml cannot be read", "Mend the file or remove it"]),
    ("", {"MCP_LOCAL_LLM_FORCE": "perhaps"}, ["MCP_LOCAL_LLM_FORCE", "'force' is 'perhaps'", "valid boolean"]),
    ('allowed_hosts = ["http://box"]', {}, ["config.toml", "'allowed_hosts[1]'", "without scheme, port and path"]),
    ('allowed_hosts = "box:80"', {}, ["config.toml", "'allowed_hosts' is 'box:80'"]),
    ("", {"MCP_LOCAL_LLM_ALLOWED_HOSTS": "box, box/path"}, ["MCP_LOCAL_LLM_ALLOWED_HOSTS", "'allowed_hosts[2]'"]),
    ('allowed_origins = ["https://a.example/"]', {}, ["config.toml", "'allowed_origins[1]'", "no path"]),
    ("", {"MCP_LOCAL_LLM_ALLOWED_ORIGINS": "a.example"}, ["MCP_LOCAL_LLM_ALLOWED_ORIGINS", "scheme with a host"]),
    ("kv_bits = 2", {}, ["config.toml", "'kv_bits' is 2", "4 or 8"]),
    ("", {"MCP_LOCAL_LLM_KV_BITS": "eight"}, ["MCP_LOCAL_LLM_KV_BITS", "'kv_bits' is 'eight'", "4 or 8"]),
    ('folders = ["~nobody-here/x"]', {}, ["config.toml", "'folders[1]' is '~nobody-here/x'", "write the whole path"]),
    ("", {"MCP_LOCAL_LLM_ROOTS": "/a:~nobody-here"}, ["MCP_LOCAL_LLM_ROOTS: 'roots[2]'", "write the whole path"]),
    ('llama_server = "/a\\u0000b"', {}, ["config.toml", "'llama_server'", "a NUL"]),
    (f"{BOX}\napi_key_file='~nobody-here/key'", {}, ["'endpoints[1].api_key_file'", "write the whole path"]),
    (f'{BOX}\napi_key_file="/a\\u0000b"', {}, ["'endpoints[1].api_key_file'", "a NUL"]),
    ("[[cluster]]\nname='two'\nmodel='m'\nhostfile='~nobody-here/h'", {}, ["'cluster[1].hostfile'", "whole path"]),
    (
        "",
        {"MCP_LOCAL_LLM_MODLE": "x", "MCP_LOCAL_LLM_BATCH_SIZ": "3", "MCP_LOCAL_LLM_PROFILES": "x"},
        ["mean MCP_LOCAL_LLM_MODEL?", "mean MCP_LOCAL_LLM_BATCH_SIZE?", "'profiles' can only be set in the file"],
    ),
    ('MODEL = "x"', {}, ["there is no setting 'MODEL'. Did you mean 'model'?"]),
    ('folders = "/x"', {}, ["'folders' is '/x'. It should be a list."]),
    ('[endpoints]\nname="a"', {}, ["It should be a list of tables: write [[endpoints]] above each"]),
    ("[[endpoints]]\nname='a'", {}, ["'endpoints[1].url' is missing."]),
    ("profiles.a = 3", {}, ["'profiles.a' is 3. It should be a table."]),
    ("", {"MCP_LOCAL_LLM_RESERVE_CONTEXT": "many"}, ["MCP_LOCAL_LLM_RESERVE_CONTEXT", "valid integer"]),
]


@pytest.mark.parametrize(("text", "environ", "words"), REFUSED)
def test_a_wrong_setting_is_refused_with_its_place_and_what_is_allowed(
    file: Path, text: str, environ: dict[str, str], words: list[str]
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ)
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize(
    "text",
    [
        '[endpoints]\nname = "a"\nurl = "http://h/v1"\napi_key = "sk-mark"',
        '[endpoints.a]\nurl = "http://me:sk-mark@h/v1"',
        '[[endpoints]]\napi_key_env = "sk-mark"',
        '[[endpoints]]\nurl = "http://me:sk-mark@h/v1"',
        '[[endpoints]]\nname = "a"\nurl = "http://h/v1"\napi_key_env = "mark"\napi_key_file = "/key"',
        '[[cluster]]\nname = "a"\ntoken = "sk-mark"',
        '[model]\napi_key = "sk-mark"',
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, {})
    assert "mark" not in str(caught.value)


def test_a_long_wrong_value_is_shortened(file: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(file, {"MCP_LOCAL_LLM_QUEUE_SIZE": "9" * 5000})
    assert "'queue_size' is '999" in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(file, {})


@pytest.mark.parametrize(("value", "roots"), [("/data:", ("/data",)), (" : /a::/b ", ("/a", "/b")), (":", ())])
def test_a_separator_with_nothing_beside_it_names_no_folder(file: Path, value: str, roots: tuple[str, ...]) -> None:
    assert load_settings(file, {"MCP_LOCAL_LLM_ROOTS": value}).roots == tuple(map(Path, roots))


@pytest.mark.parametrize("environ", [{"MCP_LOCAL_LLM_MODLE": ""}, {"MCP_LOCAL_LLM_MODLE": "  "}, {"MCP_LOCAL": "x"}])
def test_an_empty_variable_and_one_of_others_is_no_fault(file: Path, environ: dict[str, str]) -> None:
    assert load_settings(file, environ) == Settings()


def test_a_variable_that_holds_an_endpoints_key_may_begin_like_ours(file: Path) -> None:
    file.write_text('[[endpoints]]\nname = "box"\nurl = "http://h/v1"\napi_key_env = "MCP_LOCAL_LLM_BOX_KEY"\n')
    (endpoint,) = load_settings(file, {"MCP_LOCAL_LLM_BOX_KEY": "secret"}).endpoints
    assert endpoint.api_key_env == "MCP_LOCAL_LLM_BOX_KEY"


@pytest.mark.parametrize("text", ["", 'model = "32b"\n', "# nothing\r\n"])
def test_a_byte_order_mark_is_passed_over(file: Path, text: str) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_settings(file, {}).model == ("32b" if "model" in text else None)


def test_the_old_name_of_a_cluster_is_accepted_with_a_warning(file: Path) -> None:
    entry = 'name = "two"\nmodel = "org/big"\nhosts = ["10.0.0.1", "10.0.0.2"]\n'
    file.write_text(f"[[launch]]\n{entry}")
    old = load_settings(file, {})
    assert [one.name for one in old.cluster] == ["two"]
    (warning,) = old.warnings
    assert str(file) in warning
    assert "[[launch]] is called [[cluster]] now" in warning
    file.write_text(f"[[cluster]]\n{entry}")
    new = load_settings(file, {})
    assert (new.cluster, new.warnings) == (old.cluster, ())


def test_a_wrong_value_under_the_old_name_is_told_under_the_new_one(file: Path) -> None:
    file.write_text('[[launch]]\nname = "two"\nmodel = "org/big"\nhosts = ["10.0.0.1"]\n')
    with pytest.raises(ConfigError, match=r"config\.toml: 'cluster\[1\]'.*at least two machines"):
        load_settings(file, {})


@pytest.mark.parametrize(("written", "level"), [("INFO", "INFO"), ("info", "INFO"), ("Debug", "DEBUG")])
def test_a_log_level_is_read_in_any_case(file: Path, written: str, level: str) -> None:
    assert load_settings(file, {"MCP_LOCAL_LLM_LOG_LEVEL": written}).log_level == level


@pytest.mark.parametrize("kind", ["fifo", "folder", "huge"])
def test_what_is_no_settings_file_is_refused_at_once(file: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        with file.open("wb") as sparse:
            sparse.truncate(2**30)
    word = "larger than" if kind == "huge" else "not a regular file"
    with pytest.raises(ConfigError, match=rf"config\.toml cannot be read: .*{word}.*Mend the file or remove it"):
        load_settings(file, {})


def test_hosts_and_origins_are_read_from_the_file_and_from_variables(file: Path) -> None:
    file.write_text(
        'allowed_hosts = ["Box", "*.lan", "fe80::1"]\nallowed_origins = ["app://Obsidian.md", "null", "*"]\n'
    )
    settings = load_settings(file, {})
    assert settings.allowed_hosts == ("box", "*.lan", "fe80::1")
    assert settings.allowed_origins == ("app://obsidian.md", "null", "*")
    environ = {
        "MCP_LOCAL_LLM_ALLOWED_HOSTS": "host.docker.internal, *",
        "MCP_LOCAL_LLM_ALLOWED_ORIGINS": "http://localhost:*,vscode-webview://*",
    }
    settings = load_settings(file, environ)
    assert settings.allowed_hosts == ("host.docker.internal", "*")
    assert settings.allowed_origins == ("http://localhost:*", "vscode-webview://*")


def test_each_setting_has_one_process_whose_value_rules() -> None:
    fields = {name: SETTING_SCOPES.get(name, "owner") for name in Settings.model_fields}
    assert set(SETTING_SCOPES) <= set(fields)
    assert {name for name, whose in fields.items() if whose == "listener"} == {
        "api_key",
        "allowed_hosts",
        "allowed_origins",
        "serve_any_model",
    }
    sampling = {field.name for field in dataclasses.fields(SamplingParams)} & set(fields)
    session = {name for name, whose in fields.items() if whose == "session"}
    log = {"log_level", "log_file_mb", "log_file_level"}
    assert session == sampling | log | {"model", "share", "preload", "roots", "secret_names", "allow"}
    assert {fields[name] for name in TABLES} == {"owner"}


def test_true_and_false_are_no_numbers(file: Path) -> None:
    schema = Settings.model_json_schema()["properties"]
    forms = {name: field.get("anyOf", [field]) for name, field in schema.items()}
    numbers = [name for name, any_of in forms.items() if any_of[0].get("type") in ("integer", "number")]
    assert len(numbers) > 12
    for name in numbers:
        file.write_text(f"{name} = true\n")
        with pytest.raises(ConfigError, match=f"'{name}' is True. Input should be "):
            load_settings(file, {})


def test_a_file_that_everybody_may_write_is_refused_and_a_readable_key_is_told(file: Path) -> None:
    file.write_text('api_key = "a-long-enough-key"\n')
    file.chmod(0o600)
    assert load_settings(file, {}).warnings == ()
    file.chmod(0o644)
    (warning,) = load_settings(file, {}).warnings
    assert f"chmod 600 {file}" in warning
    assert "a-long-enough-key" not in warning
    file.write_text("batch_size = 2\n")
    assert load_settings(file, {}).warnings == ()
    file.chmod(0o646)
    with pytest.raises(ConfigError, match=f"chmod go-w {file}"):
        load_settings(file, {})


def test_the_key_file_of_an_endpoint_that_everybody_may_read_is_told(file: Path) -> None:
    key = file.parent / "box.key"
    file.write_text(f'[[endpoints]]\nname = "box"\nurl = "http://127.0.0.1:9/v1"\napi_key_file = "{key}"\n')
    assert load_settings(file, {}).warnings == (), "it is missing, which the first call says"
    key.write_text("a-long-enough-key\n")
    key.chmod(0o640)
    assert load_settings(file, {}).warnings == ()
    key.chmod(0o644)
    (warning,) = load_settings(file, {}).warnings
    assert "'box'" in warning
    assert f"chmod 600 {key}" in warning
    assert "a-long-enough-key" not in warning
