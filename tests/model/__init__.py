"""Model check of the rules of publishing and hand-over: every interleaving of a small world, not a sample of it.

`publish` is clients -> two nodes -> one SQL log; `delivery` is the log -> hubs -> subscribers. The two halves meet only
at the log: delivery sees offsets and never contents and lets any node commit at any time, and nothing flows back from
it to publishing except that a subscriber learns the epoch (a free step in `publish`). So checking the halves apart is
meant to cover the product; that is argued here, not machine-checked.

Every rule of the design is a switch of the `Rules` in `publish_state` and `delivery_state`; `table` turns them off one
by one and states what must then go wrong. `python -m tests.model publish|delivery [seconds]` prints the table with
every counterexample.

Superseding: a newer login of a device is recorded in SQL, and the append refuses PUBs of older ones. That is what lets
the client (rule 2 of `clients.outbox`) give a row up after a permanent refusal, whatever became of earlier copies. Two
runs show what this rests on: a login that is recorded after its client has gone supersedes the connection that came
next, so *superseded* must not end a client for good; and a PUB must not follow a CONNECT before that is answered, for
such a login would be the newest one. Neither matters if logins are ordered by a number that the device gives them.

Access: one removal, judged in the append after dedupe; a removed member goes on sending and knows the new epoch.

Not modelled: retention, restore (generations), other access changes (joining again, roles, devices taken off a list),
the registration of a device, two processes with the key of one device, a login that a client abandons after it was
recorded (it is the same as connecting and disconnecting), refusals that a node makes without the store, `expect`,
worker groups, ephemeral frames, the crash of a sender's device, replicas, clocks as numbers (time is nondeterminism).
A client sends again at once where the outbox first waits for all answers: the model allows more.
"""
