"""Reports: one self-contained HTML page of a run, or of several side by side."""

from perpixel.delivery.report.comparison import Comparison, compare_runs, write_comparison
from perpixel.delivery.report.findings import Findings, look_at
from perpixel.delivery.report.run_folder import OpenRun, open_run
from perpixel.delivery.report.single import report_page, write_report

__all__ = [
    "Comparison",
    "Findings",
    "OpenRun",
    "compare_runs",
    "look_at",
    "open_run",
    "report_page",
    "write_comparison",
    "write_report",
]
