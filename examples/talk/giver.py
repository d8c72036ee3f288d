"""Publishes a job each half second. Their number is in the store, so it goes on where its last run ended."""

import sppm

while not sppm.wait_stop(0.5):
    number = sppm.shared.change("jobs/given", lambda n: n + 1, default=0)
    takers = sppm.publish("jobs/new", {"number": number})
    print("job %d for %d" % (number, takers))
