"""Hooks of MkDocs: adds the pages of the root folder, and makes links valid on the site and on GitHub alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

_ROOT: Final = Path(__file__).parents[2]
_ROOT_PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
}
_LINK: Final = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s]+)(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root folder."""
    from mkdocs.structure.files import File

    repository = _repository(config)

    def replaced(match: re.Match[str]) -> str:
        return site_link(f"../{match[1]}", repository)

    for source, target in _ROOT_PAGES.items():
        text = (_ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=_LINK.sub(replaced, text)))
    return files


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: Any) -> str:
    """Replaces links that leave the folder of the documentation."""
    return _LINK.sub(lambda match: site_link(match[1], _repository(config)), markdown)


def site_link(link: str, repository: str) -> str:
    """Returns the target on the site of a link in the folder docs/: a page, or a file of the repository."""
    path, fragment, anchor = link.partition("#")
    if path.startswith("../docs/") and path.endswith((".md", ".svg")):
        return path.removeprefix("../docs/") + fragment + anchor
    if path.startswith("../"):
        name = path.removeprefix("../")
        target = _ROOT_PAGES.get(name) or f"{repository}/blob/main/{name}"
        return target + fragment + anchor
    if path and not path.endswith((".md", ".svg", "/")) and "." not in Path(path).name:
        return f"{repository}/tree/main/docs/{path}"
    return link


def _repository(config: MkDocsConfig) -> str:
    return (config.repo_url or "").rstrip("/")
