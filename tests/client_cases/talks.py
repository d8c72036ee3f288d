"""What `talks.rs` does, in Python: the two say the same lines."""

import json

import sppm

channel = sppm.Channel()
shared = sppm.Shared(channel)
print("set", shared.set("k", 7))
print("get", *shared.get_versioned("k"))
print("stale", str(shared.compare_and_set("k", 9, 0) is None).lower())
print("change", shared.change("k", lambda n: n + 1))
print("keys", *shared.keys())
print("deleted", *(str(shared.delete("k")).lower() for _ in range(2)))

messages = channel.subscribe("t/*")
print("published", channel.publish("t/own", 1), channel.publish("other", 1))
for _ in range(2):
    print("message", *next(messages))
messages.close()
print("published", channel.publish("t/own", 1))

with channel.task("page  7"):
    pass
stop = sppm.wait_stop(30)
print("stop", json.dumps(stop.why if stop else ""))
