//! A status as JSON, written program by program: of thousands there is never more than one in any other form, and the first are
//! written while the last are still looked at.

use super::status::BriefProgram;
use super::{ProgramDto, StatusDto, SupervisorDto};

/// About what a program with one instance takes, in bytes.
const USUAL: usize = 640;

/// [`StatusDto`] as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenStatus {
    json: Vec<u8>,
    /// Where the first program begins.
    start: usize,
    programs: usize,
    detail: Detail,
}

/// How much is said of each program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// All.
    #[default]
    Full,
    /// What an overview shows: a third of it, of thousands of programs.
    Brief,
}

impl WrittenStatus {
    /// One without programs; about so many are to come.
    ///
    /// # Errors
    /// A value cannot be written as JSON.
    pub fn new(supervisor: &SupervisorDto, detail: Detail, expected: usize) -> serde_json::Result<Self> {
        let usual = match detail {
            Detail::Full => USUAL,
            Detail::Brief => USUAL / 2,
        };
        let mut json = Vec::with_capacity(USUAL + expected * usual);
        json.extend_from_slice(br#"{"supervisor":"#);
        serde_json::to_writer(&mut json, supervisor)?;
        json.extend_from_slice(br#","programs":["#);
        Ok(Self { start: json.len(), json, programs: 0, detail })
    }

    /// Adds a program.
    ///
    /// # Errors
    /// A value cannot be written as JSON.
    pub fn push(&mut self, program: &ProgramDto) -> serde_json::Result<()> {
        if self.programs > 0 {
            self.json.push(b',');
        }
        self.programs += 1;
        match self.detail {
            Detail::Full => serde_json::to_writer(&mut self.json, program),
            Detail::Brief => serde_json::to_writer(&mut self.json, &BriefProgram::of(program)),
        }
    }

    /// A status that is known in full.
    ///
    /// # Errors
    /// A value cannot be written as JSON.
    pub fn of(status: &StatusDto) -> serde_json::Result<Self> {
        let StatusDto { supervisor, programs } = status;
        let mut written = Self::new(supervisor, Detail::Full, programs.len())?;
        programs.iter().try_for_each(|program| written.push(program))?;
        Ok(written)
    }

    /// The status.
    pub fn into_json(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"]}");
        self.json
    }

    /// The program alone, if there is just one.
    pub fn into_only_program(mut self) -> Option<Vec<u8>> {
        (self.programs == 1).then(|| self.json.split_off(self.start))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_and_by_is_what_is_written_at_once() {
        let json = r#"{"supervisor":{"version":"1","pid":2,"keeper_pid":1,"config":"/s\"/é","config_ok":true,
            "config_error":null,"generation":3,"started_at":"x"},"programs":[]}"#;
        let mut status: StatusDto = serde_json::from_str(json).unwrap();
        for name in ["a", "b"] {
            let written = WrittenStatus::of(&status).unwrap();
            assert_eq!(written.clone().into_json(), serde_json::to_vec(&status).unwrap());
            let only = written.into_only_program();
            assert_eq!(only, status.programs.first().map(|one| serde_json::to_vec(one).unwrap()));
            let program = format!(
                r#"{{"name":"{name}","desired":"running","phase":"running","ready":1,"wanted":1,"flag":null,"instances":[]}}"#
            );
            status.programs.push(serde_json::from_str(&program).unwrap());
        }
        let written = WrittenStatus::of(&status).unwrap();
        assert_eq!(written.clone().into_json(), serde_json::to_vec(&status).unwrap());
        assert_eq!(written.into_only_program(), None);
    }

    #[test]
    fn a_brief_status_is_read_as_any_other() {
        let json = r#"{"supervisor":{"version":"1","pid":2,"keeper_pid":1,"config":"/s","config_ok":true,
            "config_error":null,"generation":3,"started_at":"x"},"programs":[{"name":"a","desired":"running",
            "phase":"failed","ready":1,"wanted":1,"flag":"f","as_wanted":false,"command":"c","instances":[{"id":"a.1",
            "phase":"failed","pid":7,"since":"s","uptime_s":1.5,"ready":true,"healthy":null,"busy":true,
            "busy_since":"b","busy_what":"w","restarts":2,"last_exit":null,"next_start_at":"n","adopted":true,
            "reason":"r"}]}]}"#;
        let status: StatusDto = serde_json::from_str(json).unwrap();
        let mut written = WrittenStatus::new(&status.supervisor, Detail::Brief, 1).unwrap();
        written.push(&status.programs[0]).unwrap();
        let brief: StatusDto = serde_json::from_slice(&written.into_json()).unwrap();
        let (all, mut one) = (&status.programs[0], brief.programs[0].clone());
        assert_eq!((one.command.take(), one.desired.as_str(), one.ready), (None, "", 0));
        assert_eq!(
            (&one.name, &one.phase, &one.flag, one.as_wanted),
            (&all.name, &all.phase, &all.flag, false)
        );
        let (all, one) = (&all.instances[0], &one.instances[0]);
        assert_eq!((&one.id, &one.phase, one.pid, one.uptime_s), (&all.id, &all.phase, Some(7), Some(1.5)));
        assert_eq!(
            (one.busy, &one.busy_since, &one.busy_what),
            (Some(true), &all.busy_since, &all.busy_what)
        );
        assert_eq!((one.restarts, &one.reason, one.since.as_str()), (2, &all.reason, ""));
    }
}
