"""
What the site of `make docs` has besides the pages of docs/: README.md as its first page, the
changelog, and each page that the navigation of mkdocs.yml does not name, under "More".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: As GitHub has them and Markdown has not: a list right behind the line that introduces it.
LIST = re.compile(r"^(?=\S)(?![-*] |\d+\. |[|#]).*\n(?=(?:[-*]|1\.) )", re.M)
CODE = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
OUTSIDE = re.compile(r"\[([^]]*)\]\(\.\./[^)]*\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of the repository's own folder, and the rest of the navigation."""
    named = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    left = sorted(it.src_uri for it in files.documentation_pages() if it.src_uri not in named)
    if left and config.nav is not None:
        config.nav.append({"More": left})
    for source, page in (("README.md", "index.md"), ("CHANGELOG.md", "changelog.md")):
        text = (ROOT / source).read_text().replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """What a reader on GitHub sees, for Markdown as this site reads it; files outside by name."""
    parts = CODE.split(markdown)
    parts[::2] = [OUTSIDE.sub(r"\1", LIST.sub(r"\g<0>\n", it)) for it in parts[::2]]
    return "".join(parts)
