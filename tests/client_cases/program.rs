//! A program as its author would write it: nothing but the standard library and `sppm::client`. Says what it sees.

use sppm::client::{self, Channel};
use std::time::Duration;

fn state() -> String {
    let path = std::env::var_os("SPPM_LOCK").unwrap_or_default();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().nth(2).unwrap_or("-").to_owned()
}

fn main() -> Result<(), client::ChannelError> {
    println!("supervised {}, ready {}", client::supervised(), client::ready());
    println!("idle {}", state());
    {
        let _task = client::task("page 7");
        println!("task {}", state());
        println!("beat {}, request {}", client::beat(), client::request());
    }
    println!("after {}", state());
    client::working_lock(true);
    println!("marked {}", state());
    client::working_lock(false);

    let channel = Channel::open();
    channel.set("k", "v")?;
    println!("store {:?}", channel.get("k")?.map(|found| found.data));
    println!("published to {}", channel.publish("t", "x")?);

    let limit = if channel.is_available() { Duration::from_secs(30) } else { Duration::ZERO };
    println!("stop {:?}", client::wait_stop(limit).map(|stop| stop.why));
    println!("another task {}", client::flock_task().is_some());
    Ok(())
}
