"""What the SDKs of Azure's services raise, as one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.connectors.azure import SignInError, first_line


@dataclass(frozen=True)
class Service:
    """
    The words for one service.

    + product: such as "Blob Storage"; + answers: who refuses, such as "the service"
    + place: what cannot be reached, such as "the storage account"
    + key: of the inventory, that says where it is, such as "backup.container"
    """

    product: str
    answers: str
    place: str
    key: str


@contextmanager
def told(about: str, service: Service, refused: Callable[[Any], str]) -> Iterator[None]:
    """
    Raises DeployError, in one line, for what the SDK or its sign-in raises.

    + about: what the line begins with, such as the URL of a blob
    + refused: what to say of an HttpResponseError that is no matter of tokens
    """
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    try:
        yield
    except SignInError as error:
        raise DeployError(f"{about}: {error}") from None
    except ClientAuthenticationError as error:
        raise DeployError(
            f"{about}: {service.answers} takes no token of this identity: {first_line(error)}: "
            "correct AZURE_TENANT_ID, or sign in again"
        ) from None
    except HttpResponseError as error:
        raise DeployError(f"{about}: {refused(error)}") from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise DeployError(
            f"{about}: {service.place} cannot be reached: {first_line(error)}: correct "
            f"{service.key}, or let this machine reach it"
        ) from None
    except ValueError as error:
        raise DeployError(
            f"{about}: no {service.product} answers there: {first_line(error)}: correct "
            f"{service.key}"
        ) from None
    except AzureError as error:
        raise DeployError(f"{about}: {type(error).__name__}: {first_line(error)}") from None
