"""Azure Resource Manager as a cluster's own identity asks it: for the lab's load balancer."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from tasks.lab.azure.cloud_provider import Object
from tasks.lab.progress import LabError

NETWORK = "2025-05-01"
SIGN_IN = "api-version=2018-02-01&resource=https://management.azure.com/"
OPERATION_SECONDS = 120


class ArmError(LabError):
    """
    ARM refused; the text is what the Azure SDK for Go prints, for that is what the cloud provider
    puts into its events. Status 0: it could not be reached.
    """

    def __init__(self, status: int, text: str, retry_after: float = 0) -> None:
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


class Arm:
    """
    + url: of ARM, such as "https://10.200.0.1:8443"; + imds: of who gives tokens for it
    + client_id: of the managed identity
    """

    def __init__(self, url: str, imds: str, client_id: str, ca: Path) -> None:
        self._url = url
        self._sign_in = f"{imds}/metadata/identity/oauth2/token?{SIGN_IN}&client_id={client_id}"
        self._token, self._until = "", 0.0
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca), retries=False, timeout=urllib3.Timeout(connect=2, read=30)
        )

    def list(self, path: str) -> list[Object]:
        found: list[Object] = []
        address: str | None = self._address(path)
        while address:
            page = self._ask("GET", address)
            found += page["value"]
            address = page.get("nextLink")
        return found

    def get(self, path: str) -> Object:
        return self._ask("GET", self._address(path))

    def put(self, path: str, body: Mapping[str, Any]) -> Object:
        """Returns the resource once it is there."""
        etag = body.get("etag")
        headers = {"If-Match": etag} if etag else {}
        answer = self._send("PUT", self._address(path), body, headers)
        if _state(answer) == "Succeeded":
            return _json(answer)
        self._wait(answer)
        return self.get(path)

    def delete(self, path: str) -> None:
        """Returns once it is gone; what is not there is gone."""
        answer = self._send("DELETE", self._address(path))
        if answer.status == 202:
            self._wait(answer)

    def _address(self, path: str) -> str:
        return f"{self._url}{path}?api-version={NETWORK}"

    def _wait(self, answer: urllib3.BaseHTTPResponse) -> None:
        """Until a long-running operation has ended."""
        operation = answer.headers.get("Azure-AsyncOperation")
        deadline = time.monotonic() + OPERATION_SECONDS
        while operation:
            said = self._ask("GET", operation)
            if said["status"] == "Succeeded":
                return
            if said["status"] != "InProgress":
                raise ArmError(409, f"{said['status']}: {json.dumps(said.get('error'))}")
            if time.monotonic() > deadline:
                raise ArmError(0, "context deadline exceeded")
            time.sleep(1)

    def _ask(self, method: str, address: str) -> Object:
        return _json(self._send(method, address))

    def _send(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        signed = {
            "Authorization": f"Bearer {self._signed_in()}",
            "Content-Type": "application/json",
        }
        content = None if body is None else json.dumps(body)
        answer = self._request(method, address, content, {**signed, **(headers or {})})
        if answer.status < 300:
            return answer
        if answer.status == 401:
            self._until = 0
        wait = float(answer.headers.get("Retry-After") or 0)
        raise ArmError(answer.status, _sdk_error(method, address, answer), wait)

    def _signed_in(self) -> str:
        if time.monotonic() > self._until:
            answer = self._request("GET", self._sign_in, None, {"Metadata": "true"})
            said = _json(answer)
            if answer.status != 200:
                raise ArmError(answer.status, said.get("error_description", "no token"))
            self._token = said["access_token"]
            self._until = time.monotonic() + float(said["expires_in"]) - 300
        return self._token

    def _request(
        self, method: str, address: str, content: str | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, address, body=content, headers=dict(headers))
        except urllib3.exceptions.HTTPError as error:
            raise ArmError(0, f"{method} {urlsplit(address).path}: {error}") from None


def _state(answer: urllib3.BaseHTTPResponse) -> str:
    return str((_json(answer).get("properties") or {}).get("provisioningState", ""))


def _json(answer: urllib3.BaseHTTPResponse) -> Object:
    try:
        value = json.loads(answer.data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _sdk_error(method: str, address: str, answer: urllib3.BaseHTTPResponse) -> str:
    """As azcore's ResponseError prints itself (azure-sdk-for-go, sdk/azcore/internal/exported)."""
    said, line = _json(answer), "-" * 80
    code = (said.get("error") or {}).get("code", "UNAVAILABLE")
    return "\n".join(
        [
            f"{method} {address.partition('?')[0]}",
            line,
            f"RESPONSE {answer.status}: {answer.status} {answer.reason}",
            f"ERROR CODE: {code}",
            line,
            json.dumps(said, indent=2),
            line,
        ]
    )
