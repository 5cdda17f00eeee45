"""A certificate authority of a test, and certificates that it has signed, made by the program `openssl`."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="The program openssl makes certificates.")


@dataclass(frozen=True)
class Authority:
    """An authority in a folder; `certificate` is what its clients must trust."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def server(self, name: str = "IP:127.0.0.1") -> ssl.SSLContext:
        """The context of a server that can prove this name."""
        signed = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key")]
        key, certificate = make(self.folder, name.replace(":", "-"), name, *signed)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context


def authority(folder: Path) -> Authority:
    """Make an authority."""
    folder.mkdir()
    key, certificate = make(folder, "ca", "DNS:authority.test", "-addext", "basicConstraints=critical,CA:TRUE")
    assert (key.name, certificate.name) == ("ca.key", "ca.pem")
    return Authority(folder)


def make(folder: Path, stem: str, name: str, *more: str) -> tuple[Path, Path]:
    """Make a key and a certificate for a name, signed by itself unless the arguments say by whom."""
    key, certificate = folder / f"{stem}.key", folder / f"{stem}.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={stem}", "-addext", f"subjectAltName={name}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", *made, *named, *files, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return key, certificate
