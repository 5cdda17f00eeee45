"""Reads the key of an endpoint from the variable or file that the settings name. It must not know HTTP."""

import os
from collections.abc import Mapping

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import ConfigError

MAX_KEY_BYTES = 16 * 2**10
"""A longer file is refused."""


def read_key(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    """Return the key to send, None where the endpoint needs none; a file is read anew each time, and may block.

    Raises:
        ConfigError: this process lacks the key; names the process, since sessions share the one that sends requests.
    """
    if endpoint.api_key_file is not None:
        return _sendable(_from_file(endpoint), f"{endpoint.api_key_file} (api_key_file)", endpoint)
    variable = endpoint.api_key_env
    if variable is None:
        return None
    where = f"the environment variable {variable} (api_key_env)"
    key = environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"The key of {endpoint.name} is read from {where}, which is not set in process {os.getpid()}. Set it where "
            "that process is started, for example in `env`, or name a file that holds the key with api_key_file."
        )
    return _sendable(key, where, endpoint)


def _from_file(endpoint: Endpoint) -> str:
    file = endpoint.api_key_file
    assert file is not None, "only asked where a file is named"
    try:
        key = read_regular(file, MAX_KEY_BYTES).decode("utf-8-sig").strip()
        reason = "" if key else "it is empty"
    except OSError as error:
        key, reason = "", error.strerror or str(error)
    except UnicodeDecodeError:
        key, reason = "", "it is not text"
    if reason:
        raise ConfigError(
            f"The key of {endpoint.name} is read from {file} (api_key_file), which process {os.getpid()} cannot use: "
            f"{reason}. Write the key into it, one line, or correct the setting."
        )
    return key


def _sendable(key: str, where: str, endpoint: Endpoint) -> str:
    if not key.isascii() or not key.isprintable():
        raise ConfigError(
            f"The key of {endpoint.name} is read from {where}, which holds characters that no key can have."
        )
    return key
