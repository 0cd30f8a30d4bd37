"""
A real gRPC client, in a process of its own: that of the tests is patched by gevent as pyinfra's is,
and there streams never wake.

    python -m tests.lab.calling 10.200.18.128:443 shop.lab.test /shop.Cart/Say hi --authority ca.crt
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

#: Seconds for one call.
TIMEOUT = 60


@dataclass(frozen=True)
class Called:
    """+ code: such as "OK" or "UNAVAILABLE"; + details: of an error; + messages: that came"""

    code: str
    details: str
    messages: list[str]


def called(
    target: str, host: str, method: str, *messages: str, authority: Path | None = None
) -> Called:
    """One call, whose messages are sent one by one; without ``authority`` there is no TLS."""
    trusted = ("--authority", str(authority)) if authority else ()
    command = [sys.executable, "-m", "tests.lab.calling", target, host, method, *messages, *trusted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return Called(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description="One call of gRPC.")
    parser.add_argument("target")
    parser.add_argument("host")
    parser.add_argument("method")
    parser.add_argument("messages", nargs="+")
    parser.add_argument("--authority", type=Path)
    given = parser.parse_args()
    options = [("grpc.default_authority", given.host), ("grpc.enable_retries", 0)]
    if given.authority:
        trusted = grpc.ssl_channel_credentials(given.authority.read_bytes())
        options.append(("grpc.ssl_target_name_override", given.host))
        channel = grpc.secure_channel(given.target, trusted, options)
    else:
        channel = grpc.insecure_channel(given.target, options)
    came: list[str] = []
    code, details = "OK", ""
    with channel:
        answers: Any = channel.stream_stream(given.method)
        sent = (it.encode() for it in given.messages)
        try:
            for it in answers(sent, timeout=TIMEOUT):
                came.append(it.decode())
        except grpc.RpcError as error:
            code, details = error.code().name, str(error.details())
    print(json.dumps({"code": code, "details": details, "messages": came}))


if __name__ == "__main__":
    main()
