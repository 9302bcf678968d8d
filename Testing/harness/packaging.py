"""FAKE of `slicer.packaging` (slicer-core has none): it installs nothing and records what it was asked for.

A test says in `installed` which requirements count as satisfied, in `answer` what the user says to the one question,
and in `failure` what goes wrong; `calls` is the record of (function name, requirements, keyword arguments).
As Slicer's, `pip_ensure` takes a list of Requirement objects; unlike it, it does not stop in testing mode.
"""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement

calls: list[tuple[str, tuple[str, ...], dict]] = []
installed: set[str] = set()
answer = True
failure: Exception | None = None


def forget() -> None:
    """Back to a fresh start, before every test."""
    global answer, failure
    calls.clear()
    installed.clear()
    answer, failure = True, None


def load_requirements(path) -> list[Requirement]:
    """The requirements in a file; comments and options of pip are skipped."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def pip_check(req) -> bool:
    """Whether the requirement, or each of a list, is satisfied."""
    texts = _texts(req if isinstance(req, list) else [req])
    calls.append(("pip_check", texts, {}))
    return set(texts) <= installed


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Ask once and install what is missing; RuntimeError when the user says no."""
    keywords = {"prompt_install": prompt_install, "requester": requester, "constraints": constraints}
    calls.append(("pip_ensure", _texts(requirements), keywords))
    missing = set(_texts(requirements)) - installed
    if missing and prompt_install and not answer:
        raise RuntimeError("User declined package installation")
    _install(missing)


def pip_install(requirements) -> None:
    """Install without a question: a line as for pip, or a list of arguments."""
    texts = tuple(requirements.split() if isinstance(requirements, str) else requirements)
    calls.append(("pip_install", texts, {}))
    _install(set(texts))


def _install(requirements: set[str]) -> None:
    if requirements and failure:
        raise failure
    installed.update(requirements)


def _texts(requirements) -> tuple[str, ...]:
    for requirement in requirements:
        if not isinstance(requirement, Requirement):
            raise TypeError(f"slicer.packaging takes packaging.requirements.Requirement objects, not {requirement!r}")
    return tuple(str(requirement) for requirement in requirements)
