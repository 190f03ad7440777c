"""The distributed log: topics, the relay that fills them from the event store, and the groups that follow them."""
