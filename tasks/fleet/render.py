"""
Templates become objects: strict about undefined variables, and written down for whoever wants to
read them.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra.api.exceptions import DeployError

from tasks.connectors import documents

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
SAFE = re.compile(r"[^A-Za-z0-9._-]")
_copies = True


class TemplateRefused(DeployError):
    """A template cannot be rendered for a cluster: nothing was touched."""


def render(template: str, cluster: str, **values: Any) -> list[dict[str, Any]]:
    """
    The objects in one template, such as "gateway/gateway.yaml.j2", for one cluster.

    The text also goes to ``rendered/<cluster>/<template without .j2>`` (with ``part`` among the
    values, the file has its name): what was or would be applied. Templates hold no secret values.

    Raises TemplateRefused, in one line.
    """
    text = _text(_environment(TEMPLATES), template, "templates/", cluster, values)
    _write(cluster, template, str(values.get("part", "")), text)
    return _read(text, f"templates/{template}", cluster)


def render_file(path: str, cluster: str, values: Mapping[str, Any]) -> list[Any]:
    """
    The documents of a file of the operator's own, such as "objects/shop.yaml.j2"; one without .j2
    is taken as it is. The text also goes to ``rendered/<cluster>/<path without .j2>``.

    Raises TemplateRefused, in one line.
    """
    if path.endswith(".j2"):
        text = _text(_environment(Path.cwd()), path, "", cluster, values)
    else:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateRefused(f"{cluster}: {path} cannot be read: {error}") from error
    _write(cluster, path, "", text)
    return _read(text, path, cluster)


def _text(
    environment: Environment, template: str, root: str, cluster: str, values: Mapping[str, Any]
) -> str:
    from jinja2 import TemplateError

    try:
        return environment.get_template(template).render(cluster=cluster, **values)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        line = getattr(error, "lineno", None) or _line(error, template)
        place = f"{root}{template}" + (f" line {line}" if line else "")
        raise TemplateRefused(
            f"{cluster}: {place}: {str(error).splitlines()[0]}: correct the template or the "
            "inventory"
        ) from error


def _read(text: str, place: str, cluster: str) -> list[Any]:
    import yaml

    try:
        documents: list[Any] = pickle.loads(_documents(text))
    except yaml.YAMLError as error:
        raise TemplateRefused(
            f"{cluster}: {place} is not YAML once rendered: {' '.join(str(error).split())}"
        ) from error
    return [it for it in documents if it]


@lru_cache(maxsize=16384)
def _documents(text: str) -> bytes:
    """Packed, because clusters with one text must not share what was read of it."""
    return pickle.dumps(documents.every(text))


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # YAML, and every value passes through tojson
    )
    environment.filters["tojson"] = quoted
    return environment


def quoted(value: Any) -> str:
    """
    A value as JSON that is YAML too. Jinja's own ``tojson`` writes an emoji as two halves, which
    YAML refuses. Raises TypeError, or UndefinedError for a variable that is not defined.
    """

    def refuse(other: Any) -> Any:
        raise TypeError(f"{str(other)!r} is no text, number, list or map")  # str() finds undefined

    text = json.dumps(value, ensure_ascii=False, default=refuse)
    return re.sub(r"[^\x20-\x7e]", lambda it: f"\\U{ord(it[0]):08x}", text)


def _line(error: BaseException, template: str) -> int | None:
    frame, line = error.__traceback__, None
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.endswith(template):
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


@contextmanager
def without_copies() -> Iterator[None]:
    """Nothing goes to ``rendered/``, for who writes all of it elsewhere."""
    global _copies
    _copies = False
    try:
        yield
    finally:
        _copies = True


def _write(cluster: str, template: str, part: str, text: str) -> None:
    if not _copies:
        return
    path = Path("rendered") / SAFE.sub("_", cluster) / template.removesuffix(".j2")
    if part:
        path = path.with_name(f"{path.stem}-{SAFE.sub('_', part)}{path.suffix}")
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TemplateRefused(
            f"{cluster}: {path} cannot be written ({error.strerror}): what is applied is kept "
            "there: correct that"
        ) from error
    except UnicodeEncodeError as error:
        sign = text[error.start]
        raise TemplateRefused(
            f"{cluster}: {template}: {sign!a} is half a sign: correct the template or the inventory"
        ) from error
