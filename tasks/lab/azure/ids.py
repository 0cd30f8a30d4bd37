"""What a path of Azure Resource Manager names: a resource, a collection or an action."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """
    ``/subscriptions/<subscription>/resourceGroups/<group>/providers/Microsoft.Network/
    loadBalancers/kubernetes`` has type "Microsoft.Network/loadBalancers" and names ("kubernetes",).

    + path: as asked for, without a slash at its end
    + scope: the path of what it lies on: of a lock the resource that it locks, of anything else its
      resource group or subscription
    + collection: the path ends with a type, not with a name: a list, or the action of a POST
    """

    path: str
    scope: str
    subscription: str | None
    group: str | None
    type: str
    names: tuple[str, ...]
    collection: bool = False

    @property
    def key(self) -> str:
        """What ids are compared by: they have no case."""
        return self.path.lower()

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""

    @property
    def parent(self) -> str:
        """The path of what a child, a collection or an action belongs to."""
        return self.path.rsplit("/", 1 if self.collection else 2)[0]


def target(path: str) -> Target:
    """Of any path; one that names nothing has an empty type."""
    parts = [part for part in path.split("/") if part]
    at, scope, subscription, group = 0, "", None, None
    kind, collection = "", False
    names: list[str] = []
    while at < len(parts):
        word, following = parts[at], parts[at + 1] if at + 1 < len(parts) else None
        if word.lower() == "providers":
            scope, kind, names = "/" + "/".join(parts[:at]), following or "", []
        elif following is None:
            scope = scope if "." in kind else "/" + "/".join(parts[:at])
            kind = f"{kind}/{word}" if "." in kind else _spelled(word)
            collection = True
        elif "." in kind:
            kind, names = f"{kind}/{word}", [*names, following]
        else:
            scope = "/" + "/".join(parts[:at])
            kind, names = _spelled(word), [following]
            subscription = following if kind == "subscriptions" else subscription
            group = following if kind == "resourceGroups" else group
        at += 2
    text = "/" + "/".join(parts)
    return Target(text, scope.rstrip("/"), subscription, group, kind, tuple(names), collection)


def _spelled(word: str) -> str:
    return {"resourcegroups": "resourceGroups"}.get(word.lower(), word.lower())


def group_of(path: str) -> str:
    """The path of the resource group that something lies in, in lower case."""
    return "/".join(path.lower().split("/")[:5])


def lies_in(path: str, scope: str) -> bool:
    """Whether something is a scope, or below it."""
    path, scope = path.lower(), scope.lower().rstrip("/")
    return path == scope or path.startswith(f"{scope}/")
