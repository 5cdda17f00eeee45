"""What counts as a secret: by name, by content, by the settings and by the agent's own rules."""

import json
from pathlib import Path

import pytest

from mcp_local_llm.files.access.secrets import holds_private_key, secret_name
from mcp_local_llm.values.errors import FileAccessError
from tests.files.reading.project import PLANTED, Project

SECRETS = """
.ssh/config .ssh/known_hosts .SSH/x home/.ssh/id_ed25519.pub .aws/credentials .aws/config .azure/accessTokens.json
.kube/config .gnupg/secring.gpg .config/gcloud/credentials.db .config/gh/hosts.yml .config/glab-cli/config.yml
.config/git/credentials .docker/config.json .netrc _netrc .git-credentials .npmrc web/.npmrc .pypirc .pgpass .my.cnf
.cargo/credentials .cargo/credentials.toml .gem/credentials .mylogin.cnf .terraform.d/credentials.tfrc.json .boto .s3cfg
.claude.json .claude-backup.json .claude/.credentials.json .env .ENV .env.local .env.example .env.production.local
prod.env .env~ .env.bak .env-old .envrc .htpasswd id_rsa ID_RSA id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_work
id_work id_rsa.old id_rsa.txt server.pem cert.PEM tls.key private.Key a.ppk AuthKey.p8 x.p12 x.pfx x.jks x.keystore
vault.kdbx service-account.json service-account-prod.json service_account.json credentials.json Credentials.JSON
client_secret.json client_secret_12.apps.json terraform.tfstate terraform.tfstate.backup prod.tfvars prod.auto.tfvars
secrets.yaml secrets.yml SECRETS.YML .git .git/config .git/objects/ab/cdef sub/.git/HEAD server.key.bak .netrc.save
ssh_host_rsa_key client.ovpn rclone.conf kubeconfig .bash_history .python_history prod.env.local api.env.production
.flaskenv .dev.vars .secrets.toml app-firebase-adminsdk-x1.json application_default_credentials.json
credentials.json~ .npmrc.orig id_rsa~ deep/er/.env a/.env/x
"""

READ = """
env.py environment.rs environment.ts keyboard.ts tokenizer.py secrets-management.md credentials_form.tsx id_rsa.pub
id_ed25519.pub keys/server.pub .github/workflows/ci.yml .github/CODEOWNERS .editorconfig .gitignore .gitattributes
.gitmodules .dockerignore .prettierrc src/env/index.ts environments/prod.yaml monkey.py key.py keys.ts donkey.key.ts
pem.py id.py id_map.py id_generator.ts id_card.png idea.md identity.rs secret.py secrets.py secret_santa.md
credentials.py credentials.md service_account.py tfvars.md git/config aws/credentials.tf ssh/config.py
docker/config.json config.json settings.json .claude/settings.json .claude/commands/x.md .vscode/settings.json
jest.env.js vite-env.d.ts config.env.ts kubeconfig.md history.py _history.md ssh_host_key.md
.envoy.yaml envrc.md dotenv.js .storybook/main.ts src/id_maps/x.py npmrc.md token.ts tokens.json password.py
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_a_file_with_such_a_name_is_a_secret(name: str) -> None:
    assert secret_name(name.split("/"))
    assert secret_name(["home", "me", *name.upper().split("/")]) or name.endswith(".pub")


@pytest.mark.parametrize(
    "name",
    [
        ".env ",
        ".env.",
        ".e\u200bnv",
        "．env",
        ".ｅnv",
        "id_rsa. .",
        ".SSH /x",
        ".g\u200dit/config",
        "ＳＥＣＲＥＴＳ.yml",
        "x.pem ",
    ],
)
def test_a_name_that_some_disk_takes_for_a_secret_s_is_one(name: str) -> None:
    assert secret_name(name.split("/"))


@pytest.mark.parametrize("name", READ.split())
def test_a_file_with_such_a_name_is_read(name: str) -> None:
    assert not secret_name(name.split("/"))


def test_a_folder_called_secrets_counts_below_a_root_only(project: Project) -> None:
    project.write("secrets/token.txt", PLANTED)
    project.write("docs/secrets/token.txt", PLANTED)
    assert project.outcome("secrets/token.txt") == "!secret"
    assert project.outcome("docs/secrets/token.txt") == "!secret"
    inside = Project(project.folder / "docs" / "secrets", project.home)
    (inside.folder / "plain.txt").write_text("text\n")
    assert inside.outcome("plain.txt") == "text\n"


@pytest.mark.parametrize("begin", ["", "# a comment\n", "\ufeff", "x" * 3900 + "\n"])
@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
def test_a_private_key_is_found_in_the_first_four_kilobytes(begin: str, kind: str) -> None:
    text = f"{begin}-----BEGIN {kind}PRIVATE KEY-----\nabc\n"
    assert holds_private_key(text.encode())
    assert holds_private_key(text.encode("utf-16"))
    assert not holds_private_key(text.replace("PRIVATE", "PUBLIC").encode())


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "PuTTY-User-Key-File-3: ssh-ed25519\n", "# key\nAGE-SECRET-KEY-1QQ\n"],
)
def test_other_keys_are_found_as_well(text: str) -> None:
    assert holds_private_key(text.encode())


def test_a_pattern_in_a_program_that_looks_for_keys_is_no_key() -> None:
    assert not holds_private_key(rb'KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")')


def test_a_secret_named_refuses_the_call_and_is_left_out_and_counted_in_a_pattern(project: Project) -> None:
    project.write("conf/x.txt", "text\n")
    for name in ("conf/tls.key", "conf/id_rsa", "conf/.npmrc"):
        project.write(name, PLANTED)
    project.write("conf/innocent.txt", f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n")
    project.link("conf/link.txt", "../.env")
    reading = project.read("conf/*")
    assert [text.name for text in reading.texts] == ["conf/x.txt"]
    assert reading.left_out == {"secret": 5}
    assert reading.notes == ("Left out: 5 files with secrets.",)
    with pytest.raises(FileAccessError, match="setting `allow`") as caught:
        project.read(["conf/x.txt", "conf/tls.key"])
    assert caught.value.kind == "secret"


def test_the_settings_name_more_secrets(project: Project) -> None:
    project.write("api.token", PLANTED)
    project.write("private/x.txt", PLANTED)
    project.write("docs/private.txt", "text\n")
    project.secret_names = ("*.{token,seed}", "private/")
    assert project.outcome("api.token") == "!secret"
    assert project.outcome("private/x.txt") == "!secret"
    assert project.outcome("docs/private.txt") == "text\n"


@pytest.mark.parametrize(
    "allow", [".env.example", "/.env.example", "*.example", "{folder}/.env.example", ".ENV.example"]
)
def test_the_settings_allow_what_looks_like_a_secret(project: Project, allow: str) -> None:
    project.write(".env.example", "KEY=\n")
    project.write("test.pem", "-----BEGIN PRIVATE KEY-----\n")
    assert project.outcome(".env.example") == "!secret"
    project.allow = (allow.format(folder=project.folder),)
    assert project.outcome(".env.example") == "KEY=\n"
    assert project.outcome(".env") == "!secret"
    assert project.outcome("test.pem") == "!secret"
    project.allow = ("test.pem",)
    assert project.outcome("test.pem") == "-----BEGIN PRIVATE KEY-----\n"


DENIED = [
    ("Read(./notes.txt)", "notes.txt"),
    ("Read(notes.txt)", "notes.txt"),
    ("Read(notes.txt)", "docs/notes.txt"),
    ("Read(docs/**)", "docs/notes.txt"),
    ("Read(./docs/**)", "docs/deep/notes.txt"),
    ("Read(docs)", "docs/notes.txt"),
    ("Read(docs/)", "docs/deep/notes.txt"),
    ("Read(/docs/*.txt)", "docs/notes.txt"),
    ("Read(*.txt)", "docs/deep/notes.txt"),
    ("Read(**/deep/*)", "docs/deep/notes.txt"),
    ("Read(//{folder}/docs/**)", "docs/notes.txt"),
    ("Read(~/../work/project/notes.txt)", None),
    ("Read(~/**)", None),
    ("Read(DOCS/**)", "docs/notes.txt"),
    ("Read", "a.py"),
    ("Read(**)", "a.py"),
    ("Read(../project/notes.txt)", None),
    ("Read(../project/*.txt)", None),
    ("Read(./other.txt)", None),
    ("Edit(./notes.txt)", None),
    ("Bash(cat notes.txt)", None),
    ("ReadMe(notes.txt)", None),
]


@pytest.mark.parametrize("place", ["settings.json", "settings.local.json"])
@pytest.mark.parametrize(("rule", "name"), [row for row in DENIED if row[1]])
def test_a_rule_of_the_project_s_claude_settings_forbids_a_file(
    project: Project, rule: str, name: str, place: str
) -> None:
    deny(project.folder / ".claude" / place, rule.replace("//{folder}", f"/{project.folder}"))
    project.write(name, PLANTED)
    project.allow = ("*",)
    assert project.outcome(name) == "!denied"
    project.link("link.md", name)
    assert project.outcome("link.md") == "!denied"
    reading = project.read([f"{name[:-1]}?", "src/app.py"], each_file=True)
    assert all(getattr(row, "kind", "") in ("missing", "denied") or "app" in str(row) for row in reading.entries)


@pytest.mark.parametrize("rule", [rule for rule, name in DENIED if name is None and "project" not in rule])
def test_other_rules_forbid_nothing_here(project: Project, rule: str) -> None:
    deny(project.folder / ".claude" / "settings.json", rule)
    project.write("notes.txt", "text\n")
    assert project.outcome("notes.txt") == "text\n"


def test_a_rule_that_climbs_is_followed(project: Project) -> None:
    deny(project.folder / ".claude" / "settings.json", "Read(../project/notes.txt)")
    project.write("notes.txt", PLANTED)
    assert project.outcome("notes.txt") == "!denied"


def test_the_user_s_claude_settings_are_honoured(project: Project) -> None:
    project.write("notes.txt", PLANTED)
    inside = Project(project.home / "code", project.home)
    inside.write("x/diary.md", PLANTED)
    deny(project.home / ".claude" / "settings.json", "Read(**/notes.txt)", "Read(~/code/x/**)")
    assert project.outcome("notes.txt") == "!denied"
    assert inside.outcome("x/diary.md") == "!denied"
    elsewhere = project.beside / "config"
    deny(elsewhere / "settings.json", "Read(a.py)")
    project.environ["CLAUDE_CONFIG_DIR"] = str(elsewhere)
    assert project.outcome("a.py") == "!denied"


def test_rules_are_read_anew_for_each_call(project: Project) -> None:
    assert project.outcome("src/app.py") == "app\n"
    deny(project.folder / ".claude" / "settings.json", "Read(src/**)")
    assert project.outcome("src/app.py") == "!denied"
    (project.folder / ".claude" / "settings.json").write_text("{}")
    assert project.outcome("src/app.py") == "app\n"


@pytest.mark.parametrize("text", ["{", "\x00", "[" * 10_000, '{"permissions": {"deny": ["Read(a.py)"]}'])
def test_settings_that_cannot_be_read_refuse_every_file_because_nobody_knows_what_they_forbid(
    project: Project, text: str
) -> None:
    project.write(".claude/settings.json", text)
    with pytest.raises(FileAccessError, match=r"settings\.json cannot be read.*Mend the file") as caught:
        project.read("a.py")
    assert caught.value.kind == "denied"


@pytest.mark.parametrize(
    "value", [{}, [], 3, {"permissions": []}, {"permissions": {"deny": {}}}, {"permissions": {"deny": [1]}}]
)
def test_settings_without_rules_forbid_nothing(project: Project, value: object) -> None:
    project.write(".claude/settings.json", json.dumps(value))
    assert project.outcome("src/app.py") == "app\n"


@pytest.mark.parametrize(
    "rule",
    [
        *("Read(.)", "Read(./)", "Read(/)", "Read(//)", "Read()", "Read(src/app.py", "Read(src/../src/app.py)"),
        *(
            "Read(docs/x/../../src/**)",
            "Read({src,docs}/**)",
            "Read({folder}/src/**)",
            "Read(~/../work/project/src/**)",
        ),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_a_rule_that_is_written_oddly_forbids_what_it_may_mean(project: Project, rule: str, whole: bool) -> None:
    rule = rule.replace("{folder}", str(project.folder))
    deny(project.folder / ".claude" / "settings.json", "Read(other.txt)", rule)
    if whole:
        project.write(".claude/settings.json", json.dumps({"permissions": {"deny": rule}}))
    assert project.outcome("src/app.py") == "!denied"


@pytest.mark.parametrize(
    "rule", ["read(src/**)", "Read(!src/app.py)", "Read(/other/**)", "Bash(cat src/app.py)", "", "("]
)
def test_a_rule_about_something_else_forbids_nothing(project: Project, rule: str) -> None:
    deny(project.folder / ".claude" / "settings.json", rule)
    assert project.outcome("src/app.py") == "app\n"


def test_a_rule_about_a_file_in_the_home_folder_is_not_about_its_names_below(project: Project) -> None:
    inside = Project(project.home / "project", project.home)
    inside.write("notes.txt", "text\n")
    deny(inside.folder / ".claude" / "settings.json", "Read(~/notes.txt)")
    assert inside.outcome("notes.txt") == "text\n"


def test_settings_that_are_empty_or_reached_through_a_link_count(project: Project) -> None:
    project.write(".claude/settings.json", " \n")
    assert project.outcome("src/app.py") == "app\n"
    (project.folder / ".claude/settings.json").unlink()
    deny(project.beside / "mine.json", "Read(src/**)")
    project.link(".claude/settings.json", project.beside / "mine.json")
    assert project.outcome("src/app.py") == "!denied"


def deny(file: Path, *rules: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"permissions": {"deny": list(rules)}}))


def test_a_rule_that_names_a_place_through_a_link_forbids_the_place(project: Project) -> None:
    project.write("real/x.md", PLANTED)
    (project.beside / "way").symlink_to(project.folder)
    for rule in (f"Read(/{project.beside}/way/real/**)", f"Read(/{project.beside}/way/real/x.md)"):
        deny(project.folder / ".claude" / "settings.json", rule)
        assert project.outcome("real/x.md") == "!denied"
        assert project.outcome(str(project.beside / "way" / "real" / "x.md")) == "!denied"
    project.link("docs", "real")
    deny(project.folder / ".claude" / "settings.json", "Read(docs/**)")
    assert project.outcome("docs/x.md") == "!denied"


def test_rules_about_other_tools_can_be_asked_for(project: Project) -> None:
    deny(project.folder / ".claude" / "settings.json", "Edit(src/**)")
    path = project.folder / "src" / "app.py"
    assert not project.reader.gate().is_secret(path)
    assert project.reader.gate(("Read", "Edit", "Write")).is_secret(path)
    assert project.reader.gate().is_secret(project.folder / ".env")
