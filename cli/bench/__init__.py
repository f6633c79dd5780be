"""Speed and memory, measured: each command runs the product and its baselines one after the other in one run.

The baselines are files of their own, so that a reviewer can judge whether they are fair: `baseline_read.py` (only read
and decode the topic with the same client), `baseline_json.py` (only decode the same lines) and `baseline_faust.py`
(the same handler as a stock Faust agent would call it). Figures are ratios within one run; a number without its
command, versions and machine does not exist.
"""
