//! What is answered to a line. In: one line of one connection. Out: its answer, and what follows for hub and core.

use super::super::protocol::{self, Request, Say};
use super::connection::{Connection, Guest, Input};
use super::hall::Hall;
use crate::model::{RunId, Saying};
use std::sync::Arc;

/// So many connections of one run: a program of many processes may have one in each.
const OF_A_RUN: usize = 64;

impl Hall {
    /// Answers the next line of a connection; false: there is none.
    pub(super) fn answer_next(&mut self, connection: &mut Connection) -> bool {
        match (connection.next(), connection.run()) {
            (Input::Nothing, _) => return false,
            (Input::Line(line), None) => self.greet(connection, &line),
            (Input::TooLong, None) => {
                refuse(connection, "not-permitted", "the first line is `hello` and the value of SPPM_RUN");
            }
            (Input::Line(line), Some(run)) => match std::str::from_utf8(&line) {
                Ok(line) => self.answer(connection, run, line),
                Err(_) => connection.output.error("usage", "a line is UTF-8"),
            },
            (Input::TooLong, Some(_)) => {
                connection.output.error("too-large", "a line has at most 65,536 bytes with its newline");
            }
        }
        true
    }

    fn greet(&mut self, connection: &mut Connection, line: &[u8]) {
        let Guest::Unknown { until } = connection.guest else { return };
        let run =
            line.strip_prefix(b"hello ").and_then(|run| std::str::from_utf8(run).ok()?.parse::<RunId>().ok());
        let known = run.and_then(|run| Some((run, self.runs.get_mut(&run)?)));
        let permitted = known.filter(|(_, known)| connection.uid == known.uid || connection.uid == 0);
        let Some((run, known)) = permitted else {
            return refuse(connection, "not-permitted", "there is no such run, or it is not yours");
        };
        if known.connections >= OF_A_RUN {
            return refuse(connection, "busy", "this run has 64 connections");
        }
        known.connections += 1;
        self.strangers.remove(&(until, connection.number));
        connection.output.line(format_args!("ok {}", known.label));
        connection.guest = Guest::Known { run, label: known.label.clone() };
        // From now on it is one that says what it does: nothing yet.
        (self.said)(run, connection.number, Saying::Idle);
    }

    fn answer(&mut self, connection: &mut Connection, run: RunId, line: &str) {
        let request = match protocol::parse(line) {
            Ok(request) => request,
            Err(form) => return connection.output.error("usage", &form),
        };
        match request {
            Request::Ping => connection.output.ok(),
            Request::WaitStop => {
                connection.waits_for_stop = true;
                connection.output.ok();
                // The push comes behind the answer, where a stop is wanted already.
                self.tell_stop(connection);
            }
            Request::Say(saying) => {
                match saying {
                    Saying::Busy(_) => connection.busy = true,
                    Saying::Idle => connection.busy = false,
                    _ => {}
                }
                (self.said)(run, connection.number, saying);
                connection.output.ok();
            }
            Request::Sub(pattern) => {
                let (post, number) = (&self.post, connection.number);
                let hub = &self.hub;
                let subscription = connection.subscription.get_or_insert_with(|| {
                    let post = Arc::clone(post);
                    hub.subscribe(move || post.wake(number))
                });
                match subscription.add(pattern) {
                    Ok(()) => connection.output.ok(),
                    Err(refusal) => connection.output.refuse(&refusal),
                }
            }
            Request::Unsub(pattern) => {
                if let Some(subscription) = &connection.subscription {
                    subscription.remove(pattern);
                }
                connection.output.ok();
            }
            Request::Pub { topic, data } => {
                let Guest::Known { label, .. } = &connection.guest else { return };
                let handed = self.hub.publish(topic, label.as_str(), data);
                connection.output.number(handed.map(|count| count as u64));
            }
            Request::Get(key) => connection.output.value(self.hub.get(key).as_ref()),
            Request::Set { key, data, expected } => {
                connection.output.number(self.hub.set(key, data, expected));
            }
            Request::Del(key) => match self.hub.delete(key, None) {
                Ok(true) => connection.output.ok(),
                Ok(false) => connection.output.line(format_args!("none")),
                Err(refusal) => connection.output.refuse(&refusal),
            },
            Request::Keys(prefix) => {
                let all = self.hub.list(prefix);
                let keys = protocol::keys(all.iter().map(|(key, _)| key.as_str()));
                connection.output.line(format_args!("{keys}"));
            }
        }
    }

    /// The push `stop`, once, where one is wanted and waited for.
    pub(super) fn tell_stop(&self, connection: &mut Connection) {
        if !connection.waits_for_stop {
            return;
        }
        let stop = connection.run().and_then(|run| self.runs.get(&run)).and_then(|known| known.stop.as_ref());
        if let Some((kind, why)) = stop {
            // Why may be anything that people wrote; a push is one line.
            let why: Vec<&str> = why.split_whitespace().collect();
            connection.output.line(format_args!("stop {kind} {}", why.join(" ")));
            connection.waits_for_stop = false;
        }
    }
}

/// The last answer of a connection.
fn refuse(connection: &mut Connection, code: &str, text: &str) {
    connection.output.error(code, text);
    connection.closing = true;
}
