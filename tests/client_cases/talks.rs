//! What `talks.py` does, in Rust: the two say the same lines.

use sppm::client::{self, Channel};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = Channel::open();
    println!("set {}", channel.set("k", "7")?);
    let found = channel.get("k")?.ok_or("nothing there")?;
    println!("get {} {}", found.version, found.data);
    println!("stale {}", channel.compare_and_set("k", 9, "0")?.is_none());
    let add = |old: Option<&str>| (old.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1).to_string();
    println!("change {}", channel.change("k", add)?);
    println!("keys {}", channel.keys("")?.join(" "));
    println!("deleted {} {}", channel.delete("k")?, channel.delete("k")?);

    let mut messages = channel.subscribe("t/*")?;
    println!("published {} {}", channel.publish("t/own", "1")?, channel.publish("other", "1")?);
    for _ in 0..2 {
        let message = messages.next().ok_or("it has ended")?;
        println!("message {} {} {}", message.topic, message.sender, message.data);
    }
    drop(messages);
    println!("published {}", channel.publish("t/own", "1")?);

    let task = channel.task("page  7");
    drop(task);
    println!("stop {:?}", client::wait_stop(Duration::from_secs(30)).map(|stop| stop.why).unwrap_or_default());
    Ok(())
}
