"""Every command and Python example of README.md and docs/ runs, or says why it does not."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from docsite.commands import command_tree
from docsite.pages import parts_of
from tests.adding.book import Page
from tests.docs import running
from tests.docs.examples import ROOT, BadMarker, Block, blocks_of, pages
from tests.docs.running import ExampleFailed

BLOCKS = {page: blocks_of(page, (ROOT / page).read_text(encoding="utf-8")) for page in pages()}
ADDING = sorted(path.stem for path in (ROOT / "docs/adding").glob("*.md"))


def with_runs(*kinds: str) -> list[str]:
    """Pages with a block that runs so."""
    return [
        page
        for page, blocks in BLOCKS.items()
        if any(block.run in kinds and block.language in ("sh", "python") for block in blocks)
    ]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return running.furnish(tmp_path_factory.mktemp("examples") / "folder")


def follow(
    page: str,
    root: Path,
    kinds: tuple[str, ...],
    patch: pytest.MonkeyPatch,
    server: tuple[str, Path] | None = None,
) -> None:
    """Run a page's blocks of these kinds in their order; files that it shows are written before."""
    patch.chdir(root)
    patch.syspath_prepend(root)  # as a notebook has its folder
    for name, value in running.environment(root, {}).items():
        patch.setenv(name, value)
    env: dict[str, str] = {}
    if server:
        env = {"VCPBENCH_URL": server[0], "VCPBENCH_TOKEN": server[1].read_text().strip()}
        for name, value in env.items():
            patch.setenv(name, value)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in BLOCKS[page]:
        if block.language == "toml" and (named := re.match(r"# (\S+\.toml)", block.text)):
            (root / named[1]).write_text(block.text)
        elif block.run in kinds and block.language == "sh":
            running.run_shell(block, root, server, env)
        elif block.run in kinds and block.language == "python":
            running.run_python(block, root, server, names)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_runs(""))
def test_the_examples_of_a_page_run(
    page: str, furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(page, running.copy_of(furnished, tmp_path / "page"), ("",), monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("page", with_runs("long"))
def test_the_long_examples_of_a_page_run(
    page: str, furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(page, running.copy_of(furnished, tmp_path / "page"), ("", "long"), monkeypatch)


@pytest.mark.parametrize("page", pages())
def test_every_block_runs_or_says_why_not(page: str) -> None:
    problems = [f"{block}: {problem}" for block in BLOCKS[page] if (problem := block.problem())]
    assert problems == [], "tests/docs/examples.py says how a block is marked"


@pytest.mark.parametrize("page", pages())
def test_every_block_of_data_can_be_read(page: str) -> None:
    readers = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}
    for block in BLOCKS[page]:
        if block.run is not None and block.language in readers:
            readers[block.language](block.text)


@pytest.mark.parametrize("name", ADDING)
def test_every_block_of_a_tutorial_is_one_that_tests_of_tutorials_follow(name: str) -> None:
    """tests/adding runs blocks of `sh` and blocks whose first line says where they go."""
    page = f"docs/adding/{name}.md"
    blocks = blocks_of(page, (ROOT / page).read_text(encoding="utf-8"))
    steps = {step.text for step in Page.read(name).steps}
    unseen = [
        str(block)
        for block in blocks
        if block.language not in ("sh", "text")
        and block.run is not None
        and block.text.partition("\n")[2] not in steps
    ]
    assert unseen == []


PAGE = "# Page\n\nText.\n\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nmake up\n```\n", "its language is ''"),
        ("    vcpbench pretrain\n", "its language is ''"),
        ("```nginx\nlocation /\n```\n", "neither runs nor says why"),
        ("```text\nvcpbench pretrain\n```\n", "a text holds a command"),
    ],
)
def test_a_block_that_neither_runs_nor_says_why_is_found(text: str, said: str) -> None:
    [block] = blocks_of("page.md", PAGE + text)
    assert said in (block.problem() or "")


@pytest.mark.parametrize(
    "marker",
    ["<!-- run: later -->", "<!-- not run: lazy: no time -->", "<!-- not run: Docker -->"],
)
def test_a_marker_that_gives_no_known_reason_is_refused(marker: str) -> None:
    with pytest.raises(BadMarker):
        blocks_of("page.md", f"{PAGE}{marker}\n```sh\nmake up\n```\n")


def test_a_marker_above_no_block_is_refused() -> None:
    with pytest.raises(BadMarker):
        blocks_of("page.md", f"{PAGE}<!-- run: long -->\n\nWords.\n")


def test_a_list_that_goes_on_is_no_block() -> None:
    assert blocks_of("page.md", f"{PAGE}- item\n\n    goes on\n") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["vcpbench inspect gone.pt", "false | true", "python -c 'raise SystemExit(3)'"]
)
def test_a_command_that_fails_fails_its_page(line: str, furnished: Path, tmp_path: Path) -> None:
    root = running.copy_of(furnished, tmp_path / "page")
    with pytest.raises(ExampleFailed, match=r"page\.md:7 ends with"):
        running.run_shell(Block("page.md", 7, "sh", f"{line}\n"), root, None, {})


def named_commands(page: str) -> list[str]:
    """Commands that a page names, in its blocks and in its sentences."""
    found = []
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in blocks_of(page, text):
        found += block.text.replace("\\\n", " ").splitlines()
    for prose, part in parts_of(text):
        if prose:
            found += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", part)]
    return [line.strip().removeprefix("$ ") for line in found]


EVERY_PAGE = [*pages(), *(f"docs/adding/{name}.md" for name in ADDING)]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_vcpbench_command_that_a_page_names_has_these_options(page: str) -> None:
    root = command_tree()
    problems = []
    for line in named_commands(page):
        if match := re.match(r"(?:torchrun .*|docker .*)?\bvcpbench ([a-z].*)", line):
            problems += [f"{line}: {problem}" for problem in unknown_words(root, own_words(match[1]))]
    assert problems == []


def own_words(line: str) -> list[str]:
    """Words of the command itself, without a comment and without the words of another program inside."""
    return re.sub(r"\$\(.*\)", "WORDS", line.split("#")[0]).split()


def unknown_words(command: object, words: list[str]) -> list[str]:
    """Words of a command line that name no command and no option."""
    for place, word in enumerate(words):
        inner = getattr(command, "commands", None)
        if inner is None:
            options = {
                name
                for one in command.params  # type: ignore[attr-defined]
                for name in (*one.opts, *one.secondary_opts)
            } | {"--help", "-h"}
            given = (
                re.split(r"[=\[\],]", one)[0] for one in words[place:] if re.match(r"--[a-z]|-[a-z]$", one)
            )
            return [f"no option {one}" for one in given if one not in options]
        if word not in inner:
            return [f"no command {word}"]
        command = inner[word]
    return []


def test_an_option_that_does_not_exist_is_found() -> None:
    root = command_tree()
    assert unknown_words(root, ["local", "model.pt", "--datset", "x"]) == ["no option --datset"]
    assert unknown_words(root, ["dataset", "list"]) == ["no command list"]
    assert unknown_words(root, ["local", "model.pt", "--dataset=x", "-p", "y"]) == []
    assert own_words("compare $(python -c 'print(1)') --all  # every metric") == ["compare", "WORDS", "--all"]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_module_and_target_that_a_page_names_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in named_commands(page):
        if match := re.match(r"python -m ([\w.]+)", line):
            assert importlib.util.find_spec(match[1]), line
        if match := re.match(r"make ([a-z][a-z-]*)\b", line):
            assert match[1] in targets, line
