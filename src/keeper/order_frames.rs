//! [`Order`] to packet and back. The bulk of a large launch travels beside the packet, in a sealed memory file; its run and
//! tag stand in the packet itself, so that even a launch whose file was lost can be answered.

use super::link::{Ends, HoldFor, Identity, LaunchOrder, MAX_ABOVE, MAX_REST, MAX_TAG, Order, Output};
use super::wire::{Garbled, Reader, Writer};
use crate::linux::memfd;
use crate::linux::packet::Packet;
use crate::linux::texts::Texts;
use crate::model::{Rlimit, RlimitKind, RunId};
use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest launch, in bytes. execve(2) itself takes at most 6 MiB of arguments and environment.
pub(super) const MAX_LAUNCH: usize = 8 * 1024 * 1024;

/// A launch of so many bytes travels in its packet. Most do, and the socket has room for dozens of such.
const MAX_INLINE: usize = 8 * 1024;

/// The longest name of a held descriptor, in bytes.
const MAX_NAME: usize = 255;

/// An order as it arrives.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Any but a launch.
    Order(Order),
    /// A launch whose memory file could be read.
    Launch(Box<LaunchOrder>),
    /// A launch whose memory file is lost (no descriptor was free) or is not one of ours.
    LostLaunch {
        /// Which run.
        run: RunId,
        /// Its tag.
        tag: Vec<u8>,
        /// Why.
        errno: i32,
    },
}

/// The descriptors that go with an order, in this order.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    file: Option<OwnedFd>,
    others: Vec<BorrowedFd<'a>>,
}

impl Beside<'_> {
    pub(super) fn all(&self) -> Vec<BorrowedFd<'_>> {
        self.file.iter().map(AsFd::as_fd).chain(self.others.iter().copied()).collect()
    }
}

/// The bytes of an order, and what goes with them.
pub(super) fn encode(order: &Order) -> io::Result<(Vec<u8>, Beside<'_>)> {
    let mut out = Writer::default();
    let mut beside = Beside::default();
    match order {
        Order::Claim { runtime_dir, pid_file } => {
            out.u8(1);
            out.bytes(runtime_dir.as_os_str().as_bytes());
            out.bytes(pid_file.as_os_str().as_bytes());
        }
        Order::Launch(launch) => {
            out.u8(2);
            out.u128(launch.run.bits());
            out.bytes(&launch.tag);
            let Ends { notify, sd, lock } = &launch.ends;
            let ends = [notify, sd, lock];
            ends.iter().for_each(|end| out.u8(u8::from(end.is_some())));
            let bulk = encode_launch(launch);
            let is_small = bulk.len() <= MAX_INLINE;
            out.option(is_small.then_some(&bulk), |out, bulk| out.bytes(bulk));
            if !is_small {
                beside.file = Some(memfd::sealed("sppm-launch", &bulk)?);
            }
            beside.others.extend(ends.into_iter().flatten().map(|end| end.as_fd()));
        }
        Order::Release { run } => {
            out.u8(3);
            out.u128(run.bits());
        }
        Order::Hold { name, fd, purpose } => {
            out.u8(4);
            out.bytes(name.as_bytes());
            out.u8(match purpose {
                HoldFor::Keep => 0,
                HoldFor::ThawCgroup => 1,
                HoldFor::ContProcess => 2,
            });
            beside.others.push(fd.as_fd());
        }
        Order::Unhold { name } => {
            out.u8(5);
            out.bytes(name.as_bytes());
        }
        Order::Ready => out.u8(6),
        Order::Pong => out.u8(7),
        Order::Goodbye { code } => {
            out.u8(8);
            out.u8(*code);
        }
        Order::TellAbove { text } => {
            if text.len() > MAX_ABOVE {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            out.u8(9);
            out.bytes(text.as_bytes());
        }
        Order::Rest { at_most } => {
            out.u8(10);
            out.u32(u32::try_from(at_most.as_millis()).unwrap_or(u32::MAX));
        }
    }
    Ok((out.into_bytes(), beside))
}

/// Reads an order. Descriptors that do not belong to it are closed.
pub(super) fn decode(packet: Packet) -> Result<Arrived, Garbled> {
    let mut input = Reader::new(&packet.bytes);
    let mut fds = packet.fds.into_iter();
    let order = match input.u8()? {
        1 => Order::Claim { runtime_dir: path(&mut input)?, pid_file: path(&mut input)? },
        2 => {
            let run = RunId::from_bits(input.u128()?);
            let tag = input.bytes()?.to_vec();
            let wanted = [input.flag()?, input.flag()?, input.flag()?];
            let bulk = input.option(Reader::bytes)?;
            input.end()?;
            if tag.len() > MAX_TAG {
                return Err(Garbled);
            }
            let file = if bulk.is_none() { fds.next() } else { None };
            let [notify, sd, lock] =
                wanted.map(|wanted| if wanted { fds.next().map(Arc::new) } else { None });
            // Without what it is heard by, a run would be another than was ordered.
            let whole = wanted == [notify.is_some(), sd.is_some(), lock.is_some()];
            let ends = Ends { notify, sd, lock };
            let bulk = match bulk.filter(|_| whole) {
                Some(bulk) => Ok(Cow::Borrowed(bulk)),
                None => read_bulk(file.filter(|_| whole), packet.cut).map(Cow::Owned),
            };
            let decode = |bulk: Cow<'_, [u8]>| decode_launch(run, tag.clone(), &bulk);
            let launch = bulk.and_then(|bulk| decode(bulk).map_err(|Garbled| libc::EBADMSG));
            return Ok(match launch {
                Ok(launch) => Arrived::Launch(Box::new(LaunchOrder { ends, ..launch })),
                Err(errno) => Arrived::LostLaunch { run, tag, errno },
            });
        }
        3 => Order::Release { run: RunId::from_bits(input.u128()?) },
        4 => Order::Hold {
            name: name(&mut input)?,
            purpose: match input.u8()? {
                0 => HoldFor::Keep,
                1 => HoldFor::ThawCgroup,
                2 => HoldFor::ContProcess,
                3.. => return Err(Garbled),
            },
            fd: fds.next().ok_or(Garbled)?,
        },
        5 => Order::Unhold { name: name(&mut input)? },
        6 => Order::Ready,
        7 => Order::Pong,
        8 => Order::Goodbye { code: input.u8()? },
        9 => Order::TellAbove {
            text: input.text().ok().filter(|text| text.len() <= MAX_ABOVE).ok_or(Garbled)?,
        },
        10 => Order::Rest { at_most: Duration::from_millis(input.u32()?.into()).min(MAX_REST) },
        0 | 11.. => return Err(Garbled),
    };
    input.end()?;
    if packet.cut { Err(Garbled) } else { Ok(Arrived::Order(order)) }
}

fn path(input: &mut Reader<'_>) -> Result<PathBuf, Garbled> {
    let text: OsString = OsStringExt::from_vec(input.c_string()?.into_bytes());
    if text.is_empty() { Err(Garbled) } else { Ok(text.into()) }
}

fn name(input: &mut Reader<'_>) -> Result<String, Garbled> {
    input.text().ok().filter(|name| name.len() <= MAX_NAME).ok_or(Garbled)
}

/// The bulk of a launch that came beside its packet.
fn read_bulk(file: Option<OwnedFd>, cut: bool) -> Result<Vec<u8>, i32> {
    let file = file.ok_or(if cut { libc::EMFILE } else { libc::EBADMSG })?;
    memfd::read_sealed(&file, MAX_LAUNCH).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

fn encode_launch(launch: &LaunchOrder) -> Vec<u8> {
    // Run and tag are in the packet, the ends beside it. Destructured in full: a new field must be sent to be compiled.
    let LaunchOrder {
        run: _,
        tag: _,
        argv,
        candidates,
        environment,
        directory,
        identity,
        umask,
        rlimits,
        nice,
        oom_score_adj,
        cgroup,
        stdin,
        output,
        ends: _,
    } = launch;
    let mut out = Writer::default();
    for texts in [argv, candidates] {
        out.list(texts, |out, text| out.bytes(text.as_bytes()));
    }
    out.bytes(environment.bytes());
    out.bytes(directory.as_bytes());
    out.option(identity.as_ref(), |out, identity| {
        out.u32(identity.uid);
        out.u32(identity.gid);
        out.list(&identity.groups, |out, group| out.u32(*group));
    });
    out.u32(*umask);
    out.list(rlimits, |out, limit| {
        out.u8(match limit.kind {
            RlimitKind::OpenFiles => 0,
            RlimitKind::Processes => 1,
            RlimitKind::Core => 2,
        });
        out.option(limit.value, Writer::u64);
    });
    out.option(*nice, Writer::i32);
    out.option(*oom_score_adj, Writer::i32);
    out.option(cgroup.as_ref(), |out, path| out.bytes(path.as_bytes()));
    out.option(stdin.as_ref(), |out, path| out.bytes(path.as_bytes()));
    out.u8(match output {
        Output::Merged => 0,
        Output::Apart => 1,
    });
    out.into_bytes()
}

fn decode_launch(run: RunId, tag: Vec<u8>, bytes: &[u8]) -> Result<LaunchOrder, Garbled> {
    let mut input = Reader::new(bytes);
    let launch = LaunchOrder {
        run,
        tag,
        argv: input.list(Reader::c_string)?,
        candidates: input.list(Reader::c_string)?,
        environment: Texts::from_bytes(input.bytes()?.to_vec()).ok_or(Garbled)?,
        directory: input.c_string()?,
        identity: input.option(|input| {
            Ok(Identity { uid: input.u32()?, gid: input.u32()?, groups: input.list(Reader::u32)? })
        })?,
        umask: input.u32()?,
        rlimits: input.list(rlimit)?,
        nice: input.option(Reader::i32)?,
        oom_score_adj: input.option(Reader::i32)?,
        cgroup: input.option(Reader::c_string)?,
        stdin: input.option(Reader::c_string)?,
        output: match input.u8()? {
            0 => Output::Merged,
            1 => Output::Apart,
            2.. => return Err(Garbled),
        },
        ends: Ends::default(),
    };
    input.end()?;
    if launch.argv.is_empty() || launch.candidates.is_empty() { Err(Garbled) } else { Ok(launch) }
}

fn rlimit(input: &mut Reader<'_>) -> Result<Rlimit, Garbled> {
    let kind = match input.u8()? {
        0 => RlimitKind::OpenFiles,
        1 => RlimitKind::Processes,
        2 => RlimitKind::Core,
        3.. => return Err(Garbled),
    };
    Ok(Rlimit { kind, value: input.option(Reader::u64)? })
}
