"""The learning-rate curves and the plan of a run's length."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perpixel.training.schedule import Plan, factor, steps_that_fit


def test_one_cycle_follows_torch_s_own_with_the_same_ends() -> None:
    steps = 57
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, pct_start=0.3, final_div_factor=1e12
    )
    # torch lets the rise end at step 0.3 · steps − 1 of steps − 1.
    warmup = (0.3 * steps - 1) / (steps - 1)
    for step in range(steps):
        assert factor("one-cycle", step / (steps - 1), warmup) == pytest.approx(
            reference.get_last_lr()[0], abs=1e-9
        )
        optimizer.step()
        if step < steps - 1:
            reference.step()


@pytest.mark.parametrize("schedule", ["one-cycle", "poly"])
def test_the_rate_is_fully_decayed_at_the_end(schedule: str) -> None:
    assert factor(schedule, 1.0, 0.1) == pytest.approx(0.0, abs=1e-12)
    assert factor(schedule, 2.0, 0.1) == pytest.approx(0.0, abs=1e-12)


def test_poly_is_the_power_of_what_is_left() -> None:
    assert factor("poly", 0.25, 0.1) == pytest.approx(0.75**0.9)


@given(
    total=st.integers(1, 1000),
    replans=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 2000)), max_size=4),
)
def test_progress_rises_steadily_to_one_whatever_is_replanned(
    total: int, replans: list[tuple[int, int]]
) -> None:
    plan = Plan(total)
    step = 0
    before = plan.progress(0)
    for ahead, new_total in replans:
        for _ in range(min(ahead, max((plan.total or 0) - step, 0))):
            step += 1
            assert plan.progress(step) >= before - 1e-12
            before = plan.progress(step)
        plan.replan(step, new_total)
        assert plan.progress(step) == pytest.approx(before)
    assert plan.total is not None
    assert plan.progress(max(plan.total, plan.anchor_step + 1)) == pytest.approx(1.0)


def test_a_plan_survives_json() -> None:
    plan = Plan(100)
    plan.replan(40, 80)
    again = Plan(**plan.as_json())  # type: ignore[arg-type]
    assert again == plan
    assert again.progress(60) == pytest.approx(0.4 + 0.6 * 0.5)


@given(
    seconds=st.floats(0, 1e5),
    step_seconds=st.floats(1e-3, 10),
    epoch_steps=st.integers(1, 1000),
    epoch_end=st.floats(0, 100),
)
def test_the_steps_fit_into_the_time_that_is_left(
    seconds: float, step_seconds: float, epoch_steps: int, epoch_end: float
) -> None:
    steps = steps_that_fit(seconds, step_seconds, epoch_steps, epoch_end)
    whole_epochs = math.ceil(steps / epoch_steps)
    assert steps * step_seconds + (whole_epochs - 1) * epoch_end <= seconds + 1e-6
    if steps:
        more = (steps + 1) * step_seconds + (steps + 1) / epoch_steps * epoch_end + epoch_end
        assert more > seconds - 1e-6
