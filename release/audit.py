"""Asks whether a locked package has a known vulnerability: `make audit`.

Red where one has. Where the advisory service cannot be reached, which is no fault of a change, it says so and is green.
"""

import json
import subprocess
import sys
import urllib.request

from release.supply import LOCK, ROOT, tool

SERVICE = "https://pypi.org/pypi"
KNOWN = "jinja2/2.4.1"
"""A package with vulnerabilities that the service has known for years."""

LOCKS = (LOCK, ROOT / "release" / "docs.lock", ROOT / "release" / "supply.lock")
PROBE_TIMEOUT_S = 20.0


def answers(service: str) -> bool:
    """Return whether the advisory service can be asked from here; a mirror without advisories cannot."""
    try:
        with urllib.request.urlopen(f"{service}/{KNOWN}/json", timeout=PROBE_TIMEOUT_S) as answer:
            return bool(json.load(answer)["vulnerabilities"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def audit(service: str) -> int:
    """Audit the locks; return the exit code."""
    if not answers(service):
        print(f"audit: skipped, because the advisory service {service} cannot be reached from here.")
        return 0
    program = tool("pip-audit")
    if program is None:
        print("audit: skipped, because pip-audit could not be installed; the reason is above.")
        return 0
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--requirement")
    # One by one: the locks may hold different versions of one package.
    codes = [subprocess.run([program, *options, lock]).returncode for lock in LOCKS]
    if any(codes) and not answers(service):
        print(f"audit: skipped, because the advisory service {service} was lost on the way.")
        return 0
    return max(codes)


if __name__ == "__main__":
    sys.exit(audit(SERVICE))
