"""The site: links become addresses, references show everything, and what is broken fails the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from docsite import build, commands, library, rest, results
from docsite.pages import ROOT, BrokenLink, all_pages, navigation, place_of, rewrite_links

PAGES = {"README.md", "docs/a.md", "docs/adding/b.md"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of three pages, a picture and a module."""
    for name in (*PAGES, "docs/images/one.png", "vcp_core/x.py", "docs/decisions/first.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("page", "link", "becomes"),
    [
        ("README.md", "[a](docs/a.md#part)", "[a](a.md#part)"),
        ("docs/a.md", "[b](adding/b.md)", "[b](adding/b.md)"),
        ("docs/adding/b.md", "[home](../../README.md)", "[home](../first-steps.md)"),
        ("docs/adding/b.md", "[code](../../vcp_core/x.py)", "code"),
        ("README.md", "![one](docs/images/one.png)", "![one](images/one.png)"),
        ("README.md", "[why](docs/decisions)", "[why](decisions/index.md)"),
        (
            "README.md",
            "[here](#part) [there](https://example.org/x)",
            "[here](#part) [there](https://example.org/x)",
        ),
        ("README.md", "[of two\nlines](docs/a.md)", "[of two\nlines](a.md)"),
        ("README.md", "```sh\n[a](docs/a.md)\n```", "```sh\n[a](docs/a.md)\n```"),
    ],
)
def test_links_lead_to_the_same_page_on_the_site(tree: Path, page: str, link: str, becomes: str) -> None:
    assert rewrite_links(f"{link}\n", page, PAGES, tree) == f"{becomes}\n"


def test_a_link_to_a_file_that_is_not_there_fails(tree: Path) -> None:
    with pytest.raises(BrokenLink, match=r"docs/a\.md: there is no gone\.md"):
        rewrite_links("[x](gone.md)\n", "docs/a.md", PAGES, tree)


def test_no_two_pages_have_one_place() -> None:
    places = [place_of(page) for page in all_pages(ROOT, navigation())]
    assert len(places) == len(set(places))


def test_every_how_to_is_on_the_front_page() -> None:
    front = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs/howto").glob("*.md"):
        assert f"(howto/{path.name})" in front


def test_the_reference_of_the_command_line_has_every_command_and_option() -> None:
    page = commands.page()
    leaves = dict(commands.leaves(commands.command_tree()))
    assert {"vcpbench local", "vcpbench gate", "vcpbench dataset show", "vcpbench admin reevaluate"} <= set(
        leaves
    )
    for name, command in leaves.items():
        part = page.split(f"\n## {name.removeprefix('vcpbench ')}\n")[1].split("\n## ")[0]
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden and option.name != "help":
                assert f"`{option.opts[0]}`" in part, (name, option.name)


def test_the_reference_of_the_api_has_every_route_and_schema() -> None:
    page, openapi = rest.page(), rest.document()
    for path, item in openapi["paths"].items():
        for method in item:
            assert f"`{method.upper()} {path}`" in page
    for name in openapi["components"]["schemas"]:
        assert f"\n### {name}\n" in page


@pytest.mark.parametrize("package", ["vcp_core", "vcpbench_client"])
def test_the_reference_of_a_package_has_every_public_name(package: str) -> None:
    page = library.page(package)
    names = __import__(package).__all__
    assert [name for name in names if f"\n## {name}\n" not in page] == []


def test_the_reference_of_the_results_has_every_field_of_a_score() -> None:
    page = results.page()
    for field in ("schema_name", "provenance", "above_pixels_low", "num_units", "reproduce"):
        assert f"| `{field}` |" in page


def write_pages(source: Path, index: str) -> Path:
    source.mkdir()
    (source / "index.md").write_text(f"# Index\n\n{index}\n\n```{{toctree}}\nother\n```\n")
    (source / "other.md").write_text("# Other\n\n## A part\n\nWords.\n")
    return source


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "fails"),
    [
        ("[x](other.md#a-part)", False),
        ("[x](other.md#a-prat)", True),
        ("[x](#no-part)", True),
        ("[x](gone.md)", True),
        ("![x](gone.png)", True),
    ],
)
def test_a_link_or_an_anchor_that_leads_nowhere_fails_the_build(
    tmp_path: Path, index: str, fails: bool
) -> None:
    pytest.importorskip("furo", reason="the site's packages are not installed: make install")
    source = write_pages(tmp_path / "source", index)
    if fails:
        with pytest.raises(build.BuildFailed):
            build.run_sphinx(source, tmp_path / "out")
    else:
        build.run_sphinx(source, tmp_path / "out")
        assert (tmp_path / "out/search.html").is_file()
        build.refuse_other_hosts(tmp_path / "out")


@pytest.mark.parametrize(
    "line",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/css">',
        '<link href="https://fonts.example.org" rel="preconnect">',
        '<img alt="" src="http://example.org/pixel.gif">',
        "<style>body { background: url(https://example.org/x.png) }</style>",
    ],
)
def test_a_page_that_loads_from_another_host_fails_the_build(tmp_path: Path, line: str) -> None:
    (tmp_path / "page.html").write_text(line)
    with pytest.raises(build.BuildFailed, match=r"page\.html loads from another host"):
        build.refuse_other_hosts(tmp_path)


def test_a_link_that_a_reader_clicks_may_lead_to_another_host(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<a href="https://example.org">there</a>')
    build.refuse_other_hosts(tmp_path)
