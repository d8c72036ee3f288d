//! Times for people: of this machine's time zone. In: RFC 3339 in UTC, as the supervisor writes. Out: `08:53:18`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tz::TimeZone;

/// The time zone of whoever looks.
pub(super) struct Clock {
    zone: TimeZone,
    now: SystemTime,
}

/// A moment as people say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    /// `2026-11-21`.
    pub(super) date: String,
    /// `08:53:18`.
    pub(super) time: String,
}

impl Clock {
    /// The zone of `$TZ`, else of `/etc/localtime`, else UTC (tzset(3)).
    pub(super) fn here() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) => TimeZone::from_posix_tz(&name),
            Err(_) => TimeZone::local(),
        };
        Self { zone: zone.unwrap_or_else(|_| TimeZone::utc()), now: SystemTime::now() }
    }

    /// UTC, at a moment that stands still.
    #[cfg(test)]
    pub(super) fn fixed(now: &str) -> Self {
        Self { zone: TimeZone::utc(), now: humantime::parse_rfc3339(now).unwrap_or(UNIX_EPOCH) }
    }

    /// A stamp as date and time here. Not a stamp: as it is, without a date.
    pub(super) fn local(&self, stamp: &str) -> Local {
        let found = humantime::parse_rfc3339(stamp).ok().and_then(|time| self.convert(time));
        found.unwrap_or_else(|| Local { date: String::new(), time: super::render::visible(stamp) })
    }

    fn convert(&self, time: SystemTime) -> Option<Local> {
        let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let zone = self.zone.find_local_time_type(i64::try_from(seconds).ok()?).ok()?;
        // Local time written as if it were UTC: the calendar is humantime's.
        let shifted = seconds.checked_add_signed(i64::from(zone.ut_offset()))?;
        let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(shifted)).to_string();
        let (date, time) = text.split_once('T')?;
        Some(Local { date: date.to_owned(), time: time.trim_end_matches('Z').to_owned() })
    }

    /// Today's date here.
    pub(super) fn today(&self) -> String {
        self.convert(self.now).map(|now| now.date).unwrap_or_default()
    }

    /// The time, and the date before it where that is another day.
    pub(super) fn short(&self, stamp: &str) -> String {
        let local = self.local(stamp);
        match local.date.is_empty() || local.date == self.today() {
            true => local.time,
            false => format!("{} {}", local.date, local.time),
        }
    }

    /// How long ago a stamp is; zero where that is yet to come.
    pub(super) fn since(&self, stamp: &str) -> Option<String> {
        let time = humantime::parse_rfc3339(stamp).ok()?;
        let past = self.now.duration_since(time).unwrap_or_default();
        Some(super::render::span(past.as_secs_f64()))
    }

    /// How long ago, and whether it is yet to come: "12s ago", "in 3m 5s".
    pub(super) fn distance(&self, stamp: &str) -> Option<String> {
        let time = humantime::parse_rfc3339(stamp).ok()?;
        Some(match (self.now.duration_since(time), time.duration_since(self.now)) {
            (Ok(past), _) => format!("{} ago", super::render::span(past.as_secs_f64())),
            (Err(_), Ok(ahead)) => format!("in {}", super::render::span(ahead.as_secs_f64())),
            (Err(_), Err(_)) => return None,
        })
    }

    /// A sentence with every stamp in it as [`Clock::short`], those to come with their distance.
    pub(super) fn sentence(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, length)) = stamp(rest) {
            let (before, tail) = rest.split_at(at);
            let (stamp, after) = tail.split_at(length);
            out.push_str(before);
            out.push_str(&self.short(stamp));
            if let Some(ahead) = self.distance(stamp).filter(|text| text.starts_with("in ")) {
                out.push_str(&format!(" ({ahead})"));
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// Where the first RFC 3339 stamp in UTC of a text begins, and its length.
fn stamp(text: &str) -> Option<(usize, usize)> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = |at: usize| {
        let window = bytes.get(at..at + SHAPE.len())?;
        let same = |(byte, shape): (&u8, &u8)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        };
        window.iter().zip(SHAPE).all(same).then_some(())?;
        let tail = &bytes[at + SHAPE.len()..];
        let fraction = match tail.first() {
            Some(b'.') => 1 + tail[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
            Some(_) | None => 0,
        };
        (tail.get(fraction) == Some(&b'Z')).then_some((at, SHAPE.len() + fraction + 1))
    };
    (0..bytes.len()).find_map(fits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn stamps_in_sentences_become_local_times() {
        let clock = Clock::fixed("2026-11-21T08:00:00Z");
        assert_eq!(
            clock.sentence("again at 2026-11-21T08:00:42.123Z; é 2026-11-20T23:59:59Z, 2026-11-21"),
            "again at 08:00:42 (in 42s); é 2026-11-20 23:59:59, 2026-11-21"
        );
        assert_eq!(clock.sentence("2026-11-21T08:00:42+01:00"), "2026-11-21T08:00:42+01:00");
        assert_eq!(clock.short("no stamp\u{1b}"), "no stamp^[");
        assert_eq!(clock.distance("2026-11-21T07:00:00Z").unwrap(), "1h 0m ago");
    }

    #[test]
    fn a_zone_moves_time_and_date() {
        let zone = TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let clock = Clock { zone, now: UNIX_EPOCH };
        let local = |stamp: &str| clock.local(stamp);
        assert_eq!(
            local("2026-07-31T22:30:00Z"),
            Local { date: "2026-08-01".into(), time: "00:30:00".into() }
        );
        assert_eq!(local("2026-11-21T08:00:00.999Z").time, "09:00:00");
    }
}
