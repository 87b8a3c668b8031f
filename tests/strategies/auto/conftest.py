"""The trials that take place."""

from __future__ import annotations

import pytest

from jacstrat.strategies.auto import choosing
from jacstrat.strategies.auto.trial import Trial


@pytest.fixture
def trials(monkeypatch) -> list[dict]:
    """The trials that take place; each with the seconds predicted of each candidate, which are those measured."""
    held = []

    def run(works, predicted, begin, setup, patience_s, known):
        held.append({strategy.spec: seconds for strategy, seconds in predicted.items()})
        trial: Trial = Trial()
        for strategy, work in works.items():
            try:
                work()
            except Exception as error:
                trial.failures[strategy] = error
            else:
                trial.calls[strategy] = [predicted[strategy]]
        return trial

    monkeypatch.setattr(choosing, "run_trial", run)
    return held
