//! The five programs of the reload tests: redis, nginx, a web server, its crawler, and a shell worker.

use super::common::{Rig, Status, Yaml, http, tools, wait_until, yaml};

/// Answers with a page that links to itself; its port is written where the crawler reads it.
const SITE: &str = r#"
import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<a href='/next'>next</a>\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
with open("port.new", "w") as file:
    file.write(str(server.server_address[1]))
os.replace("port.new", "port")
print("serving", flush=True)
server.serve_forever()
"#;

/// Fetches pages for ever and prints one line for each.
const CRAWLER: &str = r#"
import time, urllib.request
count = 0
while True:
    try:
        port = open("port").read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{count}", timeout=5) as answer:
            count += 1
            print("page", count, len(answer.read()), flush=True)
    except OSError as error:
        print("retry", error, flush=True)
    time.sleep(0.1)
"#;

const NGINX: &str = "daemon off;\nmaster_process on;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\n\
events { worker_connections 32; }\n\
http {\n  access_log off;\n  client_body_temp_path t1;\n  proxy_temp_path t2;\n  fastcgi_temp_path t3;\n\
  uwsgi_temp_path t4;\n  scgi_temp_path t5;\n\
  server { listen unix:ngx.sock; location / { return 200 \"hello from nginx\\n\"; } }\n}\n";

/// The names of the five, in the order of the file.
pub(crate) const NAMES: [&str; 5] = ["site", "crawler", "redis", "nginx", "worker"];

/// All five, real where the machine has them and a steady stand-in where not.
pub(crate) fn five(rig: &Rig) -> Yaml {
    rig.write("site.py", SITE);
    rig.write("crawler.py", CRAWLER);
    let stand_in = rig.steady();
    let script = |name: &str| match tools::python() {
        Some(python) => yaml::command(&[&python.display().to_string(), "-u", name]),
        None => stand_in.clone(),
    };
    let redis = match tools::find_or_skip(&["redis-server"]) {
        Some(path) => yaml::command(&[
            &path.display().to_string(),
            "--port",
            "0",
            "--unixsocket",
            "redis.sock",
            "--save",
            "",
            "--appendonly",
            "no",
        ]),
        None => stand_in.clone(),
    };
    let nginx = match tools::find_or_skip(&["nginx"]) {
        Some(path) => {
            let prefix = rig.folder_named("ngx");
            let text = NGINX.replace("unix:ngx.sock", &format!("unix:{}/ngx.sock", prefix.display()));
            let user = if nginx_needs_user(rig) { "user root root;\n" } else { "" };
            rig.write("ngx/nginx.conf", &format!("{user}{text}"));
            let prefix = prefix.display().to_string();
            let config = format!("{prefix}/nginx.conf");
            yaml::command(&[&path.display().to_string(), "-e", "stderr", "-p", &prefix, "-c", &config])
        }
        None => stand_in.clone(),
    };
    let worker = rig.actor("worker", "while :; do echo \"$SPPM_INSTANCE works\"; sleep 0.2; done");
    Yaml::new(rig)
        .program("site", &[script("site.py"), "stop: INT".into()])
        .program("crawler", &[script("crawler.py"), "environment: { SPEED: 1 }".into()])
        .program("redis", &[redis, "restart: { policy: always, delay: 500ms }".into()])
        .program("nginx", &[nginx, "stop: { signal: QUIT, timeout: 30s }".into()])
        .program("worker", &[worker, "stop: { timeout: 20s }".into(), "logs: { max_size: 1MiB }".into()])
}

/// A master that is root gives its workers away, who then cannot use the test's folder.
fn nginx_needs_user(rig: &Rig) -> bool {
    super::common::rig::is_root() && rig.who() == super::common::Who::Own
}

/// Starts the five and waits until the real ones do real work.
#[track_caller]
pub(crate) fn start(rig: &Rig, yaml: &Yaml) -> Status {
    rig.start_with(yaml);
    let status = rig.until("all five run", Status::all_running);
    assert_eq!(status.running().len(), NAMES.len(), "{:#}", status.0);
    if tools::python().is_some() {
        wait_until("the crawler fetches pages", || rig.log("crawler").contains("page 3"));
    }
    if tools::find(&["nginx"]).is_some() {
        wait_until("nginx answers", || {
            http::get_unix(&rig.path("ngx/ngx.sock"), "/")
                .is_some_and(|(code, body)| code == 200 && body.contains("nginx"))
        });
    }
    if tools::find(&["redis-server"]).is_some() {
        wait_until("redis answers", || redis_pings(rig));
    }
    status
}

/// PING over redis' own protocol.
fn redis_pings(rig: &Rig) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(rig.path("redis.sock")) else {
        return false;
    };
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n"
}

/// Fails unless exactly `changed` have another process than before, and each of the others the same living one.
#[track_caller]
pub(crate) fn only_changed(before: &Status, after: &Status, changed: &[&str]) {
    for (id, process) in before.running() {
        let now = after.pid(&id);
        let program = id.split('.').next().unwrap_or(&id);
        if changed.contains(&program) {
            assert_ne!(now, Some(process.pid), "{id} was not restarted");
        } else {
            assert_eq!(now, Some(process.pid), "{id} was disturbed");
            assert!(process.alive(), "{id} died");
        }
    }
}
