"""The process manager of analyses: from the log to the queue, from the queue to a result in the log.

`consumer` turns AnalysisQueued into rows of the queue and keeps the rows where the log says they stand.
`worker` takes jobs, `attempt` runs one and hands its result in through the pipeline. The row says who may
work now; what counts is decided by the track, which refuses every attempt that is not the current one.
"""
