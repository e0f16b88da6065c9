"""Write the gate's answer as Markdown for people, JUnit XML for CI, and JSON for programs."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from vcpbench_client.answers import Evaluation, plain
from vcpbench_client.gate.rules import Judged, Rule, Verdict
from vcpbench_client.gate.run import Answer
from vcpbench_client.tables import arrow, span, written

SCHEMA = "vcpbench.gate/1"
SIGNS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "💥",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.SKIPPED: "⏭️",
}
COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.ERROR: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.SKIPPED: "dim",
}
SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!])")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(answer: Answer) -> str:
    """The whole answer as JSON."""
    question = answer.question
    content = {
        "schema": SCHEMA,
        "verdict": answer.verdict.value,
        "exit_code": answer.exit_code,
        "error": answer.error,
        "notes": list(answer.notes),
        "model": question.model,
        "dataset": question.dataset,
        "protocol": question.protocol,
        "against": str(question.against) if question.against else None,
        "evaluation": _facts(answer.candidate, answer.url),
        "baseline": _facts(answer.baseline, answer.comparison_url),
        "rules": [_rule_facts(one) for one in _every(answer)],
        "scores": plain(answer.candidate.scores) if answer.candidate else [],
        "differences": plain(answer.differences),
        "worse": plain(answer.worse),
    }
    return json.dumps(content, indent=1) + "\n"


def table(answer: Answer) -> Table:
    """A table of the rules and their verdicts, for a terminal."""
    found = Table("rule", "verdict", "", box=None, pad_edge=False, header_style="dim")
    for one in _every(answer):
        rule = f"--{one.rule.kind} {one.rule}"
        found.add_row(Text(rule), Text(one.verdict.value, style=COLOURS[one.verdict]), Text(one.reason))
    return found


def networks(answer: Answer) -> list[str]:
    """Lines that say which network of each file was evaluated, if a file holds several."""
    sides = (("this checkpoint", answer.candidate), ("the baseline", answer.baseline))
    return [
        f"Of {whose}: {one.checkpoint.network}"
        for whose, one in sides
        if one is not None and one.checkpoint.network
    ]


def markdown(answer: Answer) -> str:
    """A summary in Markdown: the verdict, the rules, and the headline metrics."""
    question = answer.question
    where = f"on **{_safe(question.dataset)}** under **{_safe(question.protocol)}**"
    lines = [f"## {SIGNS[answer.verdict]} vcpbench gate: {answer.verdict.value}", ""]
    lines += [f"{_link(question.model, answer.url)} {where}{_compared(answer)}.", ""]
    if answer.error is not None:
        lines += [f"**{_safe(answer.error)}**", ""]
    lines += [f"> {_safe(note)}\n" for note in (*answer.notes, *networks(answer))]
    lines += ["| | rule | |", "|---|---|---|"]
    for one in _every(answer):
        verdict = f"{SIGNS[one.verdict]} {one.verdict.value}"
        lines.append(f"| {verdict} | {_words(one.rule)} | {_safe(one.reason)} |")
    lines += ["", *_metrics(answer), *_worse(answer)]
    return "\n".join(lines).rstrip() + "\n"


def junit(answer: Answer) -> str:
    """JUnit XML with a test case for each rule.

    A skipped rule is `skipped`. An inconclusive rule is `skipped` too, or a `failure` with
    `--inconclusive fail`.
    """
    rules = _every(answer)
    suite = ElementTree.Element("testsuite", name="vcpbench gate", tests=str(len(rules)))
    counts = dict.fromkeys(("failures", "errors", "skipped"), 0)
    for one in rules:
        name = f"--{one.rule.kind} {one.rule}"
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(_subject(answer)), name=_xml(name))
        tag, counted = _outcome(one.verdict, answer.question.fail_inconclusive)
        if tag is not None:
            ElementTree.SubElement(case, tag, type=one.verdict.value, message=_xml(one.reason))
            counts[counted] += 1
        if answer.url:
            ElementTree.SubElement(case, "system-out").text = _xml(f"{one.reason}\n{answer.url}")
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _every(answer: Answer) -> tuple[Judged, ...]:
    """Every rule with its verdict. After an error, every rule has the verdict `error`."""
    if answer.error is None:
        return answer.judged
    verdict, reason = Verdict.ERROR, f"not judged: {answer.error}"
    return tuple(Judged(rule=rule, verdict=verdict, reason=reason) for rule in answer.question.rules)


def _outcome(verdict: Verdict, fail_inconclusive: bool) -> tuple[str | None, str]:
    if verdict is Verdict.ERROR:
        return "error", "errors"
    if verdict is Verdict.FAIL or (verdict is Verdict.INCONCLUSIVE and fail_inconclusive):
        return "failure", "failures"
    return (None, "") if verdict is Verdict.PASS else ("skipped", "skipped")


def _metrics(answer: Answer) -> list[str]:
    """A table of the headline metrics, beside the baseline's scores, or beside chance without a baseline."""
    if answer.differences:
        lines = [
            "| metric | before | now | | difference | 95 % interval | found in 80 % of cases |",
            "|---|--:|--:|---|--:|--:|--:|",
        ]
        for one in answer.differences:
            if one.headline:
                first, second = written(one.first, one.unit), written(one.second, one.unit)
                cells = f"{first} | {second} | {arrow(one)[0]} | {written(one.difference, one.unit, '+')}"
                power = written(one.detectable, one.unit)
                interval = span(one.low, one.high, "+", one.unit)
                lines.append(f"| {_safe(one.metric)} | {cells} | {interval} | {power} |")
        return lines
    if answer.candidate is None or not answer.candidate.scores:
        return []
    lines = ["| metric | score | 95 % interval | chance | random weights |", "|---|--:|--:|--:|--:|"]
    for score in answer.candidate.scores:
        if score.headline:
            beside = (written(one, score.unit) for one in (score.chance, score.control))
            interval = span(score.low, score.high, "", score.unit)
            row = [_safe(score.metric), written(score.value, score.unit), interval, *beside]
            lines.append(f"| {' | '.join(row)} |")
    return lines


def _worse(answer: Answer) -> list[str]:
    """The videos that the baseline got right and this checkpoint gets wrong, each with a link to its page."""
    lines: list[str] = []
    for one in answer.worse:
        rest = ":" if one.total == len(one.videos) else f". The {len(one.videos)} surest:"
        lines += ["", f"{_link(f'{one.total} answers', one.url)} got worse in {_safe(one.metric)}{rest}", ""]
        for video in one.videos:
            sure = "" if video.sure is None else f", {100 * video.sure:.1f} % sure"
            sure = "" if one.metric.startswith("retrieval.") else sure
            taken = f" taken for {_safe(video.answer)}" if video.answer else ""
            lines.append(f"- {_link(video.video, video.url)}: {_safe(video.truth)}{taken}{sure}")
    return lines


def _compared(answer: Answer) -> str:
    if answer.baseline is None:
        return ""
    whose = answer.baseline.checkpoint
    step = "" if whose.step is None else f" step {whose.step}"
    return f", {_link('compared', answer.comparison_url)} with {_safe(f'{whose.model}{step}')}"


def _words(rule: Rule) -> str:
    metric = _safe(rule.metric)
    signs = {"min": "≥", "max": "≤", "max-drop": "drops by ≤"}
    return f"{metric} {signs[rule.kind]} {rule.bound:g}"


def _subject(answer: Answer) -> str:
    return f"vcpbench.{answer.question.model}.{answer.question.dataset}.{answer.question.protocol}"


def _rule_facts(one: Judged) -> dict[str, Any]:
    facts = plain(one)
    rule = facts.pop("rule")
    return {"rule": f"--{one.rule.kind} {one.rule}", **rule, **facts, "verdict": one.verdict.value}


def _facts(evaluation: Evaluation | None, url: str | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {
        "id": evaluation.id,
        "url": url,
        "state": evaluation.state,
        "checkpoint": plain(evaluation.checkpoint),
        "dataset": plain(evaluation.dataset),
        "protocol": plain(evaluation.protocol),
    }


def _link(text: str, url: str | None) -> str:
    return f"[{_safe(text)}]({url})" if url else f"**{_safe(text)}**"


def _safe(text: str) -> str:
    """Escape text for a table cell: names and messages must not act as markup, and a cell has one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _xml(text: str) -> str:
    return NO_XML.sub("?", text)
