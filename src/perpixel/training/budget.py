"""How a run fits itself into a wall-clock budget: measured once, then fixed."""

from __future__ import annotations

from dataclasses import dataclass, field

from perpixel.training.schedule import Plan, steps_that_fit

# A wall-clock budget is measured over this share of it, and at least this many steps.
MEASURED_SHARE = 0.03
MEASURED_STEPS = 8
# The plan stays as it is until the run would miss its end by more than this share of the budget:
# a run of fixed length is one that can be repeated exactly.
TOLERANCE = 0.04


@dataclass
class Budget:
    """The wall-clock budget of a run, and what its steps were seen to take.

    Args:
        seconds: the budget.
        epoch_steps: steps in an epoch.
        validation_share: what a validation is taken to cost until one has been seen, in steps.
    """

    seconds: float
    epoch_steps: int
    validation_share: float
    _times: list[float] = field(default_factory=list)
    _epoch_end: float | None = None

    def fix(self, plan: Plan, step: int, step_seconds: float, elapsed: float) -> str | None:
        """Fix the plan once enough steps have been measured.

        Args:
            plan: has no length yet.
            step: steps done.
            step_seconds: what the last of them took.
            elapsed: seconds of the budget that are spent.

        Returns:
            a line that says what was fixed; None: not yet.
        """
        self._times.append(step_seconds)
        # The first steps start worker processes and fill caches: the later half is typical.
        late = sorted(self._times[len(self._times) // 2 :])
        typical = late[len(late) // 2]
        enough = len(self._times) >= MEASURED_STEPS and elapsed >= MEASURED_SHARE * self.seconds
        if not enough and elapsed + 2 * typical < self.seconds:
            return None
        epoch_end = self._epoch_end
        if epoch_end is None:
            epoch_end = typical * self.validation_share
        more = steps_that_fit(self.seconds - elapsed, typical, self.epoch_steps, epoch_end)
        plan.replan(step, step + more)
        return (
            f"budget {self.seconds / 60:g} min: {typical:.3f} s a step, so {step + more} steps "
            f"({(step + more) / self.epoch_steps:.1f} epochs), fixed from here on"
        )

    def check(
        self, plan: Plan, step: int, step_seconds: float, epoch_end: float, elapsed: float
    ) -> str | None:
        """Between epochs: whether the plan still ends with the budget, and if not, a new plan.

        Args:
            plan: the plan, which is changed where it must be.
            step: steps done.
            step_seconds: what a step of the last epoch took.
            epoch_end: what its validation took.
            elapsed: seconds of the budget that are spent.

        Returns:
            a line that says what was changed; None: nothing.
        """
        self._epoch_end = epoch_end
        if plan.total is None or plan.total <= step:
            return None
        left = self.seconds - elapsed
        more = max(steps_that_fit(left, step_seconds, self.epoch_steps, epoch_end), 1)
        if abs(step + more - plan.total) * step_seconds <= TOLERANCE * self.seconds:
            return None
        before = plan.total
        plan.replan(step, step + more)
        return (
            f"budget {self.seconds / 60:g} min: {step_seconds:.3f} s a step now, so "
            f"{plan.total} steps instead of {before}"
        )
