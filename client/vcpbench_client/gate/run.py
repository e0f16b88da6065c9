"""Run the gate: upload a checkpoint, evaluate it, compare it with a baseline, judge the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vcpbench_client.answers import Checkpoint, Comparison, Difference, Evaluation
from vcpbench_client.client import Client
from vcpbench_client.errors import ClientError, GateError
from vcpbench_client.gate import baseline, worse
from vcpbench_client.gate.baseline import Against
from vcpbench_client.gate.rules import Judged, Rule, Verdict, judge_drop, judge_score, worst
from vcpbench_client.gate.worse import Worse

CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.ERROR: 2}
INCONCLUSIVE_CODE = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """The checkpoint, the rules and the baseline of one run of the gate.

    Attributes:
        file: The checkpoint.
        model: The model's name that the checkpoint is uploaded under.
        dataset: The dataset that it is evaluated on.
        protocol: The protocol that it is evaluated under.
        rules: The rules to judge; at least one.
        against: The baseline of the `max-drop` rules.
        fail_inconclusive: Whether an inconclusive verdict exits with 3 instead of 0.
        facts: Further arguments of `Client.upload`: `run`, `step`, `backbone`, ...

    Raises:
        GateError: If there is no rule, or a `max-drop` rule without `against`.
    """

    file: Path
    model: str
    dataset: str
    protocol: str
    rules: tuple[Rule, ...]
    against: Against | None = None
    fail_inconclusive: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rules:
            raise GateError("A gate without rules lets everything pass. Give --min, --max, or --max-drop.")
        if self.against is None and any(rule.kind == "max-drop" for rule in self.rules):
            raise GateError(f"--max-drop needs --against: {baseline.FORMS}.")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the rules. Every report shows them, whatever the verdict."""
        return tuple(rule.warning for rule in self.rules if rule.warning)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The outcome of the gate, as far as it is known.

    Attributes:
        question: The question that this answers.
        judged: Every rule with its verdict; empty after an error.
        candidate: The checkpoint's evaluation.
        baseline: The evaluation that the candidate was compared with.
        differences: Candidate less baseline for each metric, paired by video.
        worse: The videos that got worse, for each metric of a `max-drop` rule.
        notes: Further facts for the reader of a report.
        error: Why there is no verdict.
        url: The address of the candidate's page.
        comparison_url: The address of the page that compares candidate and baseline.
    """

    question: Question
    judged: tuple[Judged, ...] = ()
    candidate: Evaluation | None = None
    baseline: Evaluation | None = None
    differences: tuple[Difference, ...] = ()
    worse: tuple[Worse, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    url: str | None = None
    comparison_url: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the rules. If all rules were skipped, the gate passes."""
        found = Verdict.ERROR if self.error is not None else worst(self.judged)
        return Verdict.PASS if found is Verdict.SKIPPED else found

    @property
    def exit_code(self) -> int:
        """0 for pass, 1 for fail, 2 for error; for inconclusive 3 if `fail_inconclusive`, else 0."""
        if self.verdict is Verdict.INCONCLUSIVE:
            return INCONCLUSIVE_CODE if self.question.fail_inconclusive else 0
        return CODES[self.verdict]


@dataclass
class Gate:
    """One run of the gate. `answer` holds everything known so far, also after an error."""

    client: Client
    answer: Answer
    compare: Callable[[str, str], Comparison] | None = (
        None  # shows progress; if None, `client.compare` waits silently
    )

    def run(
        self,
        send: Callable[[], Checkpoint],
        follow: Callable[[Evaluation], Evaluation],
    ) -> None:
        """Upload, evaluate, compare and judge; fill in `answer` on the way.

        Args:
            send: Uploads the file.
            follow: Waits for an evaluation.

        Raises:
            ClientError: If there is no verdict.
        """
        question = self.answer.question
        checkpoint = send()
        asked = self.client.evaluate(checkpoint, question.dataset, question.protocol, for_gate=True)
        self._know(candidate=asked, url=self.client.page(asked.id))
        candidate = follow(asked)
        self._know(candidate=candidate, notes=(*self.answer.notes, *candidate.warnings))
        if question.against is not None:
            self._compare(candidate, checkpoint, question.against)
        self._know(judged=tuple(self._judge(rule, candidate) for rule in question.rules))
        if self.answer.baseline is not None and not self._same_weights():
            self._list_worse(candidate, self.answer.baseline)
        self._store(candidate)

    def _compare(self, candidate: Evaluation, checkpoint: Checkpoint, against: Against) -> None:
        dataset = self.answer.question.dataset
        other = baseline.find(self.client, against, candidate, checkpoint, dataset)
        if other is None:
            where = f"{candidate.dataset.name} under {candidate.protocol.name}"
            self._note(f"{against}: no checkpoint is evaluated on {where} yet, so no drop was judged.")
            return
        page = self.client.comparison_page(other.id, candidate.id)
        found = (self.compare or self.client.compare)(other.id, candidate.id)
        self._know(baseline=other, comparison_url=page, differences=found.differences)
        for note in found.notes:
            self._note(note)
        if self._same_weights():
            self._note(f"{against} has the same weights: its scores are the same, and no drop is possible.")

    def _list_worse(self, candidate: Evaluation, other: Evaluation) -> None:
        """List the videos that got worse. The verdict is known already, so no failure here changes it."""
        metrics = [rule.metric for rule in self.answer.question.rules if rule.kind == "max-drop"]
        try:
            for found in worse.find(self.client, candidate, other, dict.fromkeys(metrics)):
                self._know(worse=(*self.answer.worse, found))
        except ClientError as error:
            self._note(f"The videos that got worse cannot be listed: {error}")

    def _store(self, candidate: Evaluation) -> None:
        """Tell the server the verdict, for its webhooks. The verdict stands, whatever the server answers."""
        judged = self.answer.judged
        rules = [{"rule": f"{one.rule.kind} {one.rule}", "verdict": one.verdict.value} for one in judged]
        try:
            self.client.store_verdict(candidate.id, self.answer.verdict.value, rules)
        except ClientError as error:
            self._note(f"The server did not store the verdict: {error}")

    def _judge(self, rule: Rule, candidate: Evaluation) -> Judged:
        if rule.kind != "max-drop":
            return judge_score(rule, candidate)
        if self.answer.baseline is None:
            return self._without_baseline(rule)
        found = judge_drop(rule, candidate, self.answer.differences)
        if self._same_weights():
            # A paired interval of equal answers has a width above 0, because other videos may differ.
            # The same weights cannot differ on any video, so the interval is exactly 0.
            return replace(found, verdict=Verdict.PASS, reason="the same weights", low=0.0, high=0.0)
        return found

    def _without_baseline(self, rule: Rule) -> Judged:
        """Skip the rule in a model's own first run. If the baseline is another model, it is inconclusive."""
        question = self.answer.question
        if question.against is not None and question.against.model == question.model:
            return Judged(rule=rule, verdict=Verdict.SKIPPED, reason="nothing to compare with yet")
        reason = f"{question.against} is not evaluated here, so a drop can be neither seen nor ruled out"
        return Judged(rule=rule, verdict=Verdict.INCONCLUSIVE, reason=reason)

    def _same_weights(self) -> bool:
        """Whether both have the same weights and input: the server says so, or the files are equal."""
        if any(one.test == "same" for one in self.answer.differences):
            return True
        if self.answer.candidate is None or self.answer.baseline is None:
            return False
        first, second = self.answer.candidate.checkpoint, self.answer.baseline.checkpoint
        if getattr(first.network, "used", None) != getattr(second.network, "used", None):
            return False  # an older server may have used another network of the file
        return first.sha256 is not None and all(
            getattr(first, name) == getattr(second, name)
            for name in ("sha256", "backbone", "prefix", "variant", "input_spec")
        )

    def _know(self, **facts: object) -> None:
        self.answer = replace(self.answer, **facts)  # type: ignore[arg-type]

    def _note(self, note: str) -> None:
        self._know(notes=(*self.answer.notes, note))
