"""The analyses: from the log to the job queue, and from the queue back to the log as results.

`consumer` turns AnalysisQueued into rows of the queue and updates the rows as the log says. `worker` takes
jobs; `attempt` runs one and delivers its result through the pipeline. The row says who may work now; the
track decides the outcome, and refuses every attempt that is not the current one.
"""
