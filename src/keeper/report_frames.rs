//! [`Report`] to packet and back.

use super::link::{Predecessor, ProcessFds, Report, SignalOrigin, Stage};
use super::wire::{Garbled, Reader, Writer};
use crate::linux::packet::Packet;
use crate::model::{Exit, LaunchStage, RunId, Signal};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A packet to be sent.
pub(super) type Outgoing<'a> = (Vec<u8>, Vec<BorrowedFd<'a>>);

/// Two reports in one packet: `Forked`, then `Execed`.
const LAUNCHED: u8 = 10;

/// A process's news; `fds` on the first mention.
pub(super) fn process<'a>(
    run: RunId,
    tag: &[u8],
    pid: u32,
    stage: &Stage,
    fds: Option<&'a ProcessFds>,
) -> Outgoing<'a> {
    any_process(2, run, tag, pid, stage, fds)
}

/// Two pieces of news of a process, which is mentioned for the first time: it was forked, and it was executed.
pub(super) fn launched<'a>(run: RunId, tag: &[u8], pid: u32, fds: Option<&'a ProcessFds>) -> Outgoing<'a> {
    any_process(LAUNCHED, run, tag, pid, &Stage::Forked, fds)
}

fn any_process<'a>(
    kind: u8,
    run: RunId,
    tag: &[u8],
    pid: u32,
    stage: &Stage,
    fds: Option<&'a ProcessFds>,
) -> Outgoing<'a> {
    let mut out = Writer::default();
    let mut beside = Vec::new();
    out.u8(kind);
    encode_process(&mut out, run, tag, pid, stage);
    out.option(fds, |out, ProcessFds { pidfd, stdout, stderr, notify, sd, lock }| {
        beside.extend([pidfd.as_fd(), stdout.as_fd()]);
        for some in [stderr, notify, sd, lock] {
            out.u8(u8::from(some.is_some()));
            beside.extend(some.as_ref().map(AsFd::as_fd));
        }
    });
    (out.into_bytes(), beside)
}

/// A held descriptor.
pub(super) fn held<'a>(name: &str, fd: &'a OwnedFd) -> Outgoing<'a> {
    let mut out = Writer::default();
    out.u8(3);
    out.bytes(name.as_bytes());
    (out.into_bytes(), vec![fd.as_fd()])
}

/// Any report.
pub(super) fn encode(report: &Report) -> Outgoing<'_> {
    let mut out = Writer::default();
    match report {
        Report::Hello { supervisors_before, fresh_state, predecessor } => {
            out.u8(1);
            out.u32(*supervisors_before);
            out.u8(u8::from(*fresh_state));
            out.option(*predecessor, |out, Predecessor { pid, exit, hung }| {
                out.u32(pid);
                encode_exit(out, exit);
                out.u8(u8::from(hung));
            });
        }
        Report::Process { run, tag, pid, stage, fds } => {
            return process(*run, tag, *pid, stage, fds.as_ref());
        }
        Report::Held { name, fd } => return held(name, fd),
        Report::TableEnd => out.u8(4),
        Report::Claimed => out.u8(5),
        Report::ClaimRefused { holder, message } => {
            out.u8(6);
            out.option(*holder, Writer::u32);
            out.bytes(message.as_bytes());
        }
        Report::Signal { signal, origin } => {
            out.u8(7);
            out.i32(signal.number());
            match origin {
                SignalOrigin::Kernel => out.u8(0),
                SignalOrigin::Process { pid, uid } => {
                    out.u8(1);
                    out.u32(*pid);
                    out.u32(*uid);
                }
            }
        }
        Report::Strangers => out.u8(8),
        Report::Ping => out.u8(9),
    }
    (out.into_bytes(), Vec::new())
}

fn encode_process(out: &mut Writer, run: RunId, tag: &[u8], pid: u32, stage: &Stage) {
    out.u128(run.bits());
    out.bytes(tag);
    out.u32(pid);
    match stage {
        Stage::Forked => out.u8(0),
        Stage::Execed => out.u8(1),
        Stage::Failed { stage, errno, path } => {
            out.u8(2);
            let index = LaunchStage::ALL.iter().position(|known| known == stage);
            out.u8(index.and_then(|index| u8::try_from(index).ok()).unwrap_or(0));
            out.i32(*errno);
            out.option(path.as_ref(), |out, path| out.bytes(path.as_os_str().as_bytes()));
        }
        Stage::Exited(exit) => {
            out.u8(3);
            encode_exit(out, *exit);
        }
    }
}

fn encode_exit(out: &mut Writer, exit: Exit) {
    match exit {
        Exit::Code(code) => {
            out.u8(0);
            out.u8(code);
        }
        Exit::Signal { signal, core } => {
            out.u8(1);
            out.i32(signal.number());
            out.u8(u8::from(core));
        }
        Exit::Unknown => out.u8(2),
    }
}

/// Reads a report, or two.
pub(super) fn decode(packet: Packet) -> Result<(Report, Option<Report>), Garbled> {
    let mut input = Reader::new(&packet.bytes);
    let mut fds = packet.fds.into_iter();
    let kind = input.u8()?;
    let report = match kind {
        1 => Report::Hello {
            supervisors_before: input.u32()?,
            fresh_state: input.flag()?,
            predecessor: input.option(|input| {
                Ok(Predecessor { pid: input.u32()?, exit: decode_exit(input)?, hung: input.flag()? })
            })?,
        },
        2 | LAUNCHED => Report::Process {
            run: RunId::from_bits(input.u128()?),
            tag: input.bytes()?.to_vec(),
            pid: input.u32()?,
            stage: decode_stage(&mut input)?,
            fds: decode_fds(&mut input, &mut fds)?,
        },
        3 => Report::Held { name: input.text()?, fd: fds.next().ok_or(Garbled)? },
        4 => Report::TableEnd,
        5 => Report::Claimed,
        6 => Report::ClaimRefused { holder: input.option(Reader::u32)?, message: input.text()? },
        7 => Report::Signal {
            signal: signal(&mut input)?,
            origin: match input.flag()? {
                false => SignalOrigin::Kernel,
                true => SignalOrigin::Process { pid: input.u32()?, uid: input.u32()? },
            },
        },
        8 => Report::Strangers,
        9 => Report::Ping,
        0 | 11.. => return Err(Garbled),
    };
    input.end()?;
    let second = match &report {
        Report::Process { run, tag, pid, .. } if kind == LAUNCHED => {
            Some(Report::Process { run: *run, tag: tag.clone(), pid: *pid, stage: Stage::Execed, fds: None })
        }
        _one => None,
    };
    Ok((report, second))
}

fn decode_stage(input: &mut Reader<'_>) -> Result<Stage, Garbled> {
    Ok(match input.u8()? {
        0 => Stage::Forked,
        1 => Stage::Execed,
        2 => Stage::Failed {
            stage: *LaunchStage::ALL.get(usize::from(input.u8()?)).ok_or(Garbled)?,
            errno: input.i32()?,
            path: input.option(Reader::bytes)?.map(|path| OsString::from_vec(path.to_vec()).into()),
        },
        3 => Stage::Exited(decode_exit(input)?),
        4.. => return Err(Garbled),
    })
}

fn decode_exit(input: &mut Reader<'_>) -> Result<Exit, Garbled> {
    Ok(match input.u8()? {
        0 => Exit::Code(input.u8()?),
        1 => Exit::Signal { signal: signal(input)?, core: input.flag()? },
        2 => Exit::Unknown,
        3.. => return Err(Garbled),
    })
}

fn decode_fds(
    input: &mut Reader<'_>,
    fds: &mut impl Iterator<Item = OwnedFd>,
) -> Result<Option<ProcessFds>, Garbled> {
    let mut next = || fds.next().ok_or(Garbled);
    input.option(|input| {
        let (pidfd, stdout) = (next()?, next()?);
        let mut some = || if input.flag()? { next().map(Some) } else { Ok(None) };
        Ok(ProcessFds { pidfd, stdout, stderr: some()?, notify: some()?, sd: some()?, lock: some()? })
    })
}

fn signal(input: &mut Reader<'_>) -> Result<Signal, Garbled> {
    Signal::from_number(input.i32()?).ok_or(Garbled)
}
