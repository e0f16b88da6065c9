"""`vcpbench gate`: judge a checkpoint by rules, for CI. The exit code is the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show
from vcpbench_client.commands.comparing import compared
from vcpbench_client.commands.evaluations import follow
from vcpbench_client.commands.uploads import completed, send
from vcpbench_client.defaults import DATASET, PROTOCOL
from vcpbench_client.errors import ClientError

if TYPE_CHECKING:
    from vcpbench_client.gate.run import Answer, Question

STDOUT = Path("-")


@plainly
@options.option_groups()
def gate(
    file: Annotated[Path, typer.Argument(help="The checkpoint: a file, or a Hugging Face folder.")],
    model: options.ModelOption,
    *,
    dataset: options.DatasetOption = DATASET,
    protocol: options.ProtocolOption = PROTOCOL,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="METRIC=PERCENT",
            help="A score that the checkpoint must reach; repeat for several.",
        ),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="METRIC=NUMBER",
            help="A score that the checkpoint must not exceed, where lower is better; repeat for several.",
        ),
    ] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            "--max-drop", metavar="METRIC=POINTS", help="The largest allowed drop; repeat for several."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="MODEL@latest, MODEL@best:METRIC, @ALIAS, or an evaluation's id; --max-drop needs it."
        ),
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout", min=0, help="Seconds for the whole run. After them, the verdict is an error."
        ),
    ] = 3600,
    inconclusive: Annotated[
        Literal["pass", "fail"],
        typer.Option(help="Exit with 0 (pass) or 3 (fail) if the videos are too few to tell."),
    ] = "pass",
    summary: Annotated[Path | None, typer.Option(help="File to write a Markdown report to.")] = None,
    junit: Annotated[Path | None, typer.Option(help="File to write a JUnit XML report to.")] = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", help="File to write JSON to. `-` prints JSON instead of the table."),
    ] = None,
    facts: options.Facts,
) -> None:
    """Judge a checkpoint by rules. Exit codes: 0 pass, 1 fail, 2 error, 3 (or 0) inconclusive.

    A rule passes only if its whole 95 % interval lies on the good side of the bound. It fails only if the
    whole interval lies on the bad side. Otherwise it is inconclusive. The worst rule decides.

    **Examples**

    `vcpbench gate model.pt -m mine --min recognition.top1=40`

    `vcpbench gate model.pt -m mine -d ucf101 -p quick-v1 --against mine@latest --max-drop cloze.temporal=1.5`
    """
    from vcpbench_client.gate import report
    from vcpbench_client.gate.baseline import Against
    from vcpbench_client.gate.rules import Rule
    from vcpbench_client.gate.run import Question

    rules = [Rule.parse("min", text) for text in minimum or ()]
    rules += [Rule.parse("max", text) for text in maximum or ()]
    rules += [Rule.parse("max-drop", text) for text in max_drop or ()]
    question = Question(
        file=file,
        model=model,
        dataset=dataset,
        protocol=protocol,
        rules=tuple(rules),
        against=Against.parse(against) if against else None,
        fail_inconclusive=inconclusive == "fail",
        facts=dict(facts),
    )
    answer = _answer(question, timeout_s)
    _write(answer, summary, report.markdown)
    _write(answer, junit, report.junit)
    _write(answer, json_out, report.as_json)
    if json_out != STDOUT:
        _print(answer)
    raise typer.Exit(answer.exit_code)


def _answer(question: Question, timeout_s: float) -> Answer:
    """Run the gate. Any failure becomes an error in the answer, so that the reports are still written."""
    from dataclasses import replace

    from vcpbench_client.gate.run import Answer, Gate

    gate, answer = None, Answer(question=question, notes=question.warnings)
    try:
        with connect(timeout_s=timeout_s, expected=True) as client:
            gate = Gate(client, answer, lambda one, other: compared(client, one, other, quiet=False))
            gate.run(
                lambda: send(client, question.file, question.model, quiet=False, **question.facts),
                lambda asked: completed(client, follow(client, asked, quiet=False), question.file),
            )
            return gate.answer
    except typer.Exit:  # Ctrl-C
        raise
    except ClientError as error:
        if error.log_tail:
            say(error.log_tail.rstrip(), style="dim")
        text = f"{type(error).__name__}: {error}"
    except Exception as error:  # a bug in vcpbench must look neither like a fail nor like a pass
        import traceback

        traceback.print_exc()
        text = f"{type(error).__name__}: {error}. This is a fault of vcpbench. Please report it."
    return replace(gate.answer if gate else answer, error=text)


def _write(answer: Answer, path: Path | None, text: Callable[[Answer], str]) -> None:
    from vcpbench_client.errors import FileError

    if path is None:
        return
    if path == STDOUT:
        print_json(text(answer))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(answer), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from None


def _print(answer: Answer) -> None:
    from vcpbench_client.gate import report

    if answer.error is None:
        show(report.table(answer))
    else:
        say(answer.error, style="red")
    for note in (*answer.notes, *report.networks(answer)):
        say(note, style="yellow")
    for url in (answer.url, answer.comparison_url):
        if url:
            say(url)
    for one in answer.worse:
        say(f"{one.total} got worse in {one.metric}: {one.url}")
    where = f"on {answer.question.dataset} under {answer.question.protocol}"
    say(f"gate: {answer.verdict.value}, {where}", style=f"bold {report.COLOURS[answer.verdict]}")
