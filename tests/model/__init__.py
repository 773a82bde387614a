"""Model check of the rules of publishing and hand-over: every interleaving of a small world, not a sample of it.

`publish` is clients -> two nodes -> one SQL log; `delivery` is the log -> hubs -> subscribers. The two halves meet only
at the log: delivery sees offsets and never contents and lets any node commit at any time, and nothing flows back from
it to publishing except that a subscriber learns the epoch (a free step in `publish`). So checking the halves apart is
meant to cover the product; that is argued here, not machine-checked.

Every rule of the design is a switch of the `Rules` in `publish_state` and `delivery_state`; `table` turns them off one
by one and states what must then go wrong. `python -m tests.model publish|delivery [seconds]` prints the table with
every counterexample.

Not modelled: retention, restore (generations), access changes, `expect`, worker groups, ephemeral frames, the crash of
a sender's device, replicas, clocks as numbers (time is nondeterminism).
"""
