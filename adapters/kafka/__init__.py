"""The distributed log: topics, the relay that fills them from the event store, groups that follow them."""
