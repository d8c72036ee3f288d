"""Does one job after the other, and asks for its own restart after three: for a new model, say, or against a leak."""

import time

import sppm

jobs = sppm.subscribe("jobs/*")
sppm.ready()
for done, job in enumerate(jobs, start=1):
    with sppm.task("job %d" % job.data["number"]):
        print("begin", job.data["number"], "of", job.sender)
        time.sleep(0.2)
        sppm.shared.change("jobs/done", lambda n: n + 1, default=0)
        print("end", job.data["number"])
    if done == 3:
        sppm.request_restart("three jobs are done")
        sppm.wait_stop()
        break
