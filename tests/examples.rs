//! The examples do what they say, and so does the script that shows the quickstart.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::examples::example;
use common::wait::LIMIT;
use common::{Rig, Status, Who, examples, http, tools, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn the_crawler_reads_the_site(who: Who) {
    if tools::python().is_none() {
        return;
    }
    let mut rig = example("crawler", who);
    let port = http::free_port();
    rig.env("SITE_PORT", &port.to_string());
    rig.start();
    for page in ["/: ", "/one.html: ", "/two.html: "] {
        wait_until(&format!("the crawler reads {page}"), || rig.log("crawler").contains(page));
    }
    assert_eq!(http::get_local(port, "/one.html").map(|(code, _)| code), Some(200));
    rig.sppm(&["stop", "crawler"]).ok();
    assert!(rig.log("crawler").contains("stopped between two pages"), "{}", rig.log("crawler"));
    rig.shutdown();
}
as_everyone!(the_crawler_reads_the_site);

#[test]
fn the_worker_says_goodbye() {
    let rig = example("worker", Who::Own);
    rig.start();
    wait_until("it counts", || rig.log("worker").contains("counting 1"));
    let pid = rig.status().pid("worker").unwrap();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(files.contains("256"), "{files}");
    rig.shutdown();
    assert!(rig.log("worker").contains("goodbye after"), "{}", rig.log("worker"));
}

#[test]
fn the_pool_is_scaled_and_signalled() {
    let rig = example("instances", Who::Own);
    rig.start();
    assert!(rig.until("all run", Status::all_running).running_count() == 4);
    rig.sppm(&["scale", "pool=4"]).ok();
    rig.sppm(&["signal", "HUP", "pool"]).ok();
    for n in 1..=4 {
        wait_until("its shard works", || rig.log(&format!("pool.{n}")).contains(&format!("shard {n} works")));
    }
    wait_until("the signal is answered", || rig.log("pool.1").contains("pool.1 reads its files again"));
    rig.sppm(&["stop", "@batch"]).ok();
    assert_eq!(rig.status().running_count(), 0);
    rig.shutdown();
}

#[test]
fn the_quickstart_script_shows_the_main_thing() {
    let mut rig = Rig::new();
    rig.env("SPPM", rig.binary().display().to_string().as_str());
    let script = examples::path("quickstart.sh");
    assert!(fs::metadata(&script).unwrap().permissions().mode() & 0o111 != 0, "it cannot be executed");
    let answer = finish(rig.program(&script), LIMIT).ok();
    assert!(answer.stdout.contains("good day from greeter.1"), "{}", answer.all());
    rig.until_nothing_runs();
    common::rig::remove_default_folders_of("hello/sppm.yaml");
}
